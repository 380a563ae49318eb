"""What of the library a filter can come to call: an import in a function of the library counts if somebody can call that function.

Whoever calls a function names it, and runs himself. A filter's own sources run, and so does what is imported late. Of a module that is
loaded, its functions are left: what it did when it was imported is over. A function of a module is named in that module, or where that
module is named too. A method is named anywhere, with its class. CPython names methods in its own data, and functions of modules that it
imports.

Who makes up a name when the filter runs gets an ImportError that says how to keep the module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

FUNCTION, IMPORT, HELD, RUN = "function", "import", "held", "run"


class Part(NamedTuple):
    """A part of a module's source, as named.py finds it."""

    name: str
    """Its qualified name, if it has one."""
    kind: str
    """FUNCTION, IMPORT, or another: HELD is what the module may have given to others, and RUN what only ran when it was imported."""
    names: tuple[str, ...]
    """What it names: with a dot before it, something of any module."""


class Calling:
    """What can be called, as far as it is known by now."""

    def __init__(self, in_c: Callable[[str], bool], imported_by_c: Collection[str] = ()) -> None:
        self._in_c, self._imported_by_c = in_c, imported_by_c
        self._parts: dict[str, list[Part]] = {}
        self._waiting: list[tuple[str, Part]] = []
        self._names: dict[str, set[str]] = defaultdict(set)
        """Of each name, the modules that name it."""
        self._aliases: dict[str, set[str]] = defaultdict(set)
        """Of each module's last name, those that others gave it."""
        self._knowing: dict[str, set[str]] = {}
        self._everything = False

    def allow_everything(self) -> None:
        """Takes all functions for called: something calls by names that are data."""
        self._everything = True

    def add(self, module: str, parts: Iterable[Part], own: bool, loaded: bool) -> None:
        """Adds a module that can run."""
        self._parts[module] = [*parts]
        for part in self._parts[module]:
            if part.kind == IMPORT:
                for name in part.names:
                    self._aliases[name.lstrip(".")].add(part.name)
            if own or part.kind == HELD or not (loaded or part.kind == FUNCTION):
                self._call(module, part)
            elif part.name:
                self._waiting.append((module, part))

    def reaches(self, module: str, function: str) -> bool:
        """Tells whether an import runs that is in a function of this qualified name, or in one within it."""
        known = [
            p for p in self._parts.get(module, ()) if p.kind == FUNCTION and f"{function}.".startswith(f"{p.name}.")
        ]
        return self._everything or not known or any(self._is_called(module, part) for part in known)

    def follow(self) -> None:
        """Finds all that can be called."""
        before = -1
        while not self._everything and before != len(self._waiting):
            before = len(self._waiting)
            self._knowing.clear()
            waiting, self._waiting = self._waiting, []
            for module, part in waiting:
                if self._is_called(module, part):
                    self._call(module, part)
                else:
                    self._waiting.append((module, part))

    def _call(self, module: str, part: Part) -> None:
        for name in part.names:
            self._names[name].add(module)

    def _is_called(self, module: str, part: Part) -> bool:
        *classes, last = part.name.split(".")
        if not all(self._is_named(module, name) for name in classes):
            return False
        if (classes or module in self._imported_by_c) and self._in_c(last):
            return True
        if classes or part.kind != FUNCTION:
            return self._is_named(module, last)
        return module in self._names[last] or not self._names[f".{last}"].isdisjoint(self._who_knows(module))

    def _is_named(self, module: str, name: str) -> bool:
        return module in self._names[name] or bool(self._names[f".{name}"])

    def _who_knows(self, module: str) -> set[str]:
        """Returns the modules that name a module, as far as they were known when this round began, and itself."""
        if module not in self._knowing:
            last = module.rpartition(".")[2]
            self._knowing[module] = {module}.union(*(self._names[f".{name}"] for name in (last, *self._aliases[last])))
        return self._knowing[module]
