"""What a filter can come to import once it is sealed: found by following the imports inside of functions, of Python and of C.

Nobody can import what nobody names. Of a loaded module, what its functions import is reachable; of what they import, all that it imports.
A function of the library counts if somebody can call it (`calling.py`).
What CPython's C code imports is in no source: the tables of `cpython/imports.py` have it, and a test finds it in the runtime itself. What
is reachable is kept in the module, compressed (`boot.LATE`). What is not to be had is a warning, for the filter's own sources.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from toolchain.cpython.compiler import MODULE as COMPILER
from toolchain.cpython.imports import (
    AT_IMPORT,
    BY_CHARACTERS_NAMES,
    BY_NAMES,
    CALLED,
    CHOSEN,
    COMPUTED,
    FILES,
    NEEDED,
    NOT_FOLLOWED,
    SHALLOW,
    STARTUP_ONLY,
    WHEN_USED,
    WHEN_WRITTEN,
)
from toolchain.vm.calling import Calling, Part
from toolchain.vm.sources import Found, Sources

_PROGRAMS = """
argparse cmd code curses doctest ensurepip fileinput getopt getpass gettext idlelib optparse pdb profile cProfile py_compile
pydoc _pyrepl readline rlcompleter runpy site timeit tkinter trace traceback tracemalloc turtle unittest venv webbrowser
compileall dbm filecmp glob importlib.metadata importlib.readers importlib.resources mailbox mimetypes netrc pathlib shelve shutil
sqlite3 tarfile tempfile zipfile zipimport
_posixsubprocess pty signal subprocess
ftplib http.client http.cookiejar http.server imaplib poplib selectors smtplib socket socketserver ssl urllib.request xmlrpc
"""
PROCESSES = frozenset({"concurrent.futures.process", "multiprocessing"})
"""Packages that nothing can be done with where there are no processes; `boot.py` says so."""

PROGRAMS = frozenset(_PROGRAMS.split()) | PROCESSES
"""Modules for programs, files, processes and sockets: a function of the library that imports one can do nothing in a proxy.

They are there if the filter's own sources import them, each with the rest of its package.
"""

ENCODINGS = "encodings."
"""What the names of codecs' modules begin with."""

ANY_ENCODING, COMPILED, ANY_NAME = "encodings.*", "compile()", "eval()"
"""What imported.py notes: text that is data chooses among the codecs, code is compiled, and a text can call anything."""


class Import(NamedTuple):
    """An import in a source, as imported.py finds it."""

    line: int
    where: str
    """The function's qualified name; empty outside of functions."""
    late: bool
    """Whether it runs when a function is called."""
    optional: bool
    """Whether the source goes on without it."""
    level: int
    module: str
    names: tuple[str, ...]
    instead: tuple[str, ...]
    """Modules that the source tried before."""


class Known(NamedTuple):
    """What is known of all modules that a filter can import."""

    sources: Sources
    builtin: Collection[str]
    imports: Callable[[str, Found], Iterable[Import]]
    parts: Callable[[str, Found], Iterable[Part]]
    in_c: Callable[[str], bool]
    """Whether CPython itself has such a name."""


class Late(NamedTuple):
    """The names of the modules to keep, and the warnings for the author."""

    names: list[str]
    warnings: list[str]

    left_out: Sequence[str] = ()
    """The modules and the codecs that nobody can import, though CPython or its library names them."""


def find(loaded: Collection[str], known: Known, keep: Collection[str] = (), executed: Collection[str] = ()) -> Late:
    """Returns what can be imported after these modules were loaded, and what is to be kept in any case.

    `executed` are modules that need not be in `sys.modules` any more, while others hold their functions.
    """
    search = _Search(loaded, known)
    search.run(keep, executed)
    return Late(sorted(search.kept), search.warnings(), sorted(search.left_out()))


class _Search:
    def __init__(self, loaded: Collection[str], known: Known) -> None:
        self.known = known
        self.library = known.sources.late_index["imports"]
        self.loaded = set(loaded)
        self.kept: set[str] = set()
        self.c_modules = {"builtins"}
        self.any_encoding = False
        self.texts: dict[str, bytes] = {}
        self.own_texts: list[bytes] = []
        self.found: dict[str, Found | None] = {}
        self.shallow = False
        self.imported_by_c = {*NOT_FOLLOWED, *WHEN_WRITTEN}
        self.calling = Calling(known.in_c, self.imported_by_c)
        self.waiting: list[tuple[str, Found, Import]] = []

    def run(self, keep: Collection[str], executed: Collection[str]) -> None:
        """Follows what is loaded, and then what is found, to the end."""
        todo = [*keep]
        self.any_encoding = "encodings" in keep
        for name in sorted(self.loaded.union(executed)):
            todo += self._reached(name, loaded=True)
        while True:
            self._follow(todo)
            if self.any_encoding:
                self.shallow = True
                self._follow(sorted(name for name in self.library if name.startswith(ENCODINGS)))
                self.shallow = False
            todo = [name for name in self._from_c() if name not in SHALLOW and self._is_new(name)]
            waiting, any_encoding = len(self.waiting), self.any_encoding
            todo += self._called()
            if not todo and (waiting, any_encoding) == (len(self.waiting), self.any_encoding):
                break
        self.shallow = True
        self._follow(sorted(SHALLOW))

    def left_out(self) -> set[str]:
        """Returns the modules of C, the codecs, and what uncalled code would import, if nobody can import it."""
        named = {name for name in self.library if name.startswith(ENCODINGS)}
        named |= {target for targets in (*WHEN_USED.values(), WHEN_WRITTEN) for target in targets}
        for name, found, entry in self.waiting:
            if not _is_left_out(self._base(name, found, entry), name):
                named.update(self._targets(name, found, entry))
        there = self.c_modules.union(self.loaded, self.kept, NEEDED)
        return {*self.known.builtin, *named.intersection(self.library)} - there

    def _is_new(self, name: str) -> bool:
        return name not in self.c_modules if name in self.known.builtin else self._is_missing(name)

    def _is_missing(self, name: str) -> bool:
        there = name in self.loaded or name in self.kept or name in STARTUP_ONLY
        return not there and self._find(name) is not None

    def _follow(self, todo: Iterable[str]) -> None:
        stack = list(todo)
        while stack:
            for name in _with_parents(stack.pop()):
                if name in self.known.builtin:
                    if name not in self.c_modules:
                        self.c_modules.add(name)
                        stack += AT_IMPORT.get(name, ())
                elif self._is_missing(name):
                    self.kept.add(name)
                    stack += self._reached(name, loaded=False)

    def _reached(self, name: str, loaded: bool) -> Iterator[str]:
        found = self._find(name)
        if found is None or name in STARTUP_ONLY:
            return
        self.texts[name] = found.source
        if not found.standard:
            self.own_texts.append(found.source)
        if name in BY_NAMES and found.standard:
            self.calling.allow_everything()
        if not self.shallow:
            self.calling.add(name, self.known.parts(name, found), own=not found.standard, loaded=loaded)
        for entry in self.known.imports(name, found):
            if loaded and not entry.late:
                # It has run; what is of C was imported, and has functions.
                self.c_modules |= {n for n in self._targets(name, found, entry) if n in self.known.builtin}
            elif self.shallow and (entry.late or (entry.optional and name in SHALLOW)):
                continue
            elif found.standard and entry.late:
                self.waiting.append((name, found, entry))
            else:
                yield from self._followed(name, found, entry)
        yield from COMPUTED.get(name, ())
        yield from (f"{ENCODINGS}{codec}" for codec in CHOSEN.get(name, ()))

    def _followed(self, name: str, found: Found, entry: Import) -> Iterator[str]:
        """Yields what an import imports that can run."""
        if entry.module == COMPILED:
            yield COMPILER
            yield from () if found.standard else ("typing", "unicodedata")
        elif entry.module == ANY_NAME:
            if not found.standard:
                self.calling.allow_everything()
        elif entry.module == ANY_ENCODING:
            self.any_encoding |= not ((found.standard and name.startswith(ENCODINGS)) or name in FILES)
        elif not self._is_out_of_reach(name, found, entry):
            yield from self._targets(name, found, entry)

    def _is_out_of_reach(self, name: str, found: Found, entry: Import) -> bool:
        if (name, entry.module) in BY_CHARACTERS_NAMES or (
            entry.late and found.standard and _is_left_out(self._base(name, found, entry), name)
        ):
            return True
        # A filter may try a name that a module has in other versions of Python only.
        return found.standard and bool(entry.instead) and all(self._is_available(n) for n in entry.instead)

    def _called(self) -> list[str]:
        """Returns what functions of the library import that can be called by now."""
        if "_pickle" in self.c_modules:
            self.calling.allow_everything()
        self.imported_by_c.update(*(AT_IMPORT.get(module, ()) for module in self.c_modules))
        self.imported_by_c.update(*(named for (module, _), named in WHEN_USED.items() if module in self.c_modules))
        self.calling.follow()
        found: list[str] = []
        waiting, self.waiting = self.waiting, []
        for entry in waiting:
            if self._is_called(*entry):
                found += self._followed(*entry)
            else:
                self.waiting.append(entry)
        return found

    def _is_called(self, name: str, found: Found, entry: Import) -> bool:
        return (name, entry.where) in CALLED or self.calling.reaches(name, entry.where)

    def _from_c(self) -> Iterator[str]:
        for (module, word), targets in WHEN_USED.items():
            # The module's own part in Python has the word because it hands the function out.
            texts = (text for name, text in self.texts.items() if name != module.removeprefix("_"))
            if module in self.c_modules and any(word.encode() in text for text in texts):
                yield from targets
        own = b"".join(self.own_texts)
        for module, words in WHEN_WRITTEN.items():
            if any(word.encode() in own for word in words):
                yield module
        if self.any_encoding:
            yield "unicodedata"

    def _base(self, name: str, found: Found, entry: Import) -> str:
        """Returns the absolute name of the module that is imported, or imported from."""
        if not entry.level:
            return entry.module
        package = name.split(".") if found.kind == "P" else name.split(".")[:-1]
        package = package[: len(package) - entry.level + 1]
        return ".".join([*package, *([entry.module] if entry.module else [])])

    def _targets(self, name: str, found: Found, entry: Import) -> Iterator[str]:
        base = self._base(name, found, entry)
        yield base
        for attribute in entry.names:
            if self._is_available(f"{base}.{attribute}"):
                yield f"{base}.{attribute}"

    def _is_available(self, name: str) -> bool:
        return name in self.known.builtin or name in self.loaded or self._find(name) is not None

    def _find(self, name: str) -> Found | None:
        if name not in self.found:
            found = self.known.sources.find(name)
            if found is not None and found.standard and name not in self.library:
                found = None
            self.found[name] = found
        return self.found[name]

    def warnings(self) -> list[str]:
        """Returns a line for each import in a function of the filter's own sources that will fail."""
        lines = []
        for name in sorted(self.loaded | self.kept):
            found = self._find(name)
            if found is None or found.standard:
                continue
            for entry in self.known.imports(name, found):
                base = self._base(name, found, entry)
                runs_late = entry.late or name in self.kept
                if runs_late and not (entry.optional or entry.instead or self._is_there(base)):
                    why = self._reason(base)
                    where = f"in {entry.where.rpartition('.')[2]}" if entry.late else "when this module is"
                    lines.append(
                        f"{found.origin}:{entry.line}: {base} is imported {where}, and will not be in the proxy: {why}"
                    )
        return lines

    def _reason(self, name: str) -> str:
        sources = self.known.sources
        needs = "CPython in a proxy lacks a module that it imports" if name in sources.names() else None
        return sources.compiled(name) or needs or "there is no such module at build time"

    def _is_there(self, name: str) -> bool:
        # A package of the library may make a module itself, as os makes os.path.
        package = self._find(name.rpartition(".")[0]) if "." in name else None
        return self._is_available(name) or (package is not None and package.standard)


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _is_left_out(name: str, importing: str) -> bool:
    """Tells whether a module is one for programs, and the library's module that imports it late is not of the same package."""
    packages = PROGRAMS.intersection(_with_parents(name))
    return bool(packages) and (packages <= PROCESSES or not packages.intersection(_with_parents(importing)))
