"""How imports are found in a source, and how what can be imported late follows from them."""

from __future__ import annotations
import __future__

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from toolchain.vm.late import Import, Known, find
from toolchain.vm.sources import Found

Imports = Callable[..., list[Import]]


def known(sources: Any, imports: Imports) -> Known:
    """Returns what is known of all modules; each function of the library can be called."""
    return Known(sources, BUILTIN, lambda name, found: imports(found.source.decode()), lambda *_: (), lambda _: False)


LIBRARY = {
    "time_user": "import time\ndef used():\n    return time.strptime('x')\n",
    "_strptime": "import calendar\n",
    "calendar": "",
    "encodings.cp437": "",
    "encodings.idna": "import stringprep\n",
    "stringprep": "",
    "_pylong": "import decimal\n",
    "decimal": "try:\n    from _decimal import *\nexcept ImportError:\n    from _pydecimal import *\ndef late():\n    import calendar\n",
    "_pydecimal": "",
    "json": "def late():\n    import subprocess\n    from package import part\n",
    "subprocess": "",
    "package": "",
    "package.part": "",
}
BUILTIN = ("_ast", "builtins", "time", "_decimal", "sys", "unicodedata")
CORE = {"_pylong", "decimal"}
CODECS = {"encodings.cp437", "encodings.idna", "stringprep"}


@pytest.fixture(scope="module")
def imports() -> Imports:
    """Returns the program that runs in the compiling CPython, run by this one."""
    source = Path("toolchain/vm/imported.py").read_bytes()
    # There annotations are not evaluated.
    code = compile(source, "imported.py", "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    limit = sys.getrecursionlimit()
    program = sys.modules["boot"] = ModuleType("boot")
    exec(code, {})
    sys.setrecursionlimit(limit)
    del sys.modules["boot"]

    def run(source: str, origin: str = "x.py") -> list[Import]:
        request = f"{origin}\0{source}".encode()
        return [Import(*entry) for entry in ast.literal_eval(program.imports(request).decode())]

    return run


class Sources:
    """A standard library and a filter, in dicts."""

    def __init__(self, own: dict[str, str]) -> None:
        self.own = own
        self.late_index = {"imports": LIBRARY}

    def find(self, name: str) -> Found | None:
        source = self.own.get(name, LIBRARY.get(name))
        return None if source is None else Found("M", f"{name}.py", source.encode(), name not in self.own)

    def names(self) -> list[str]:
        return [*LIBRARY, "needs_c"]

    def compiled(self, name: str) -> str | None:
        return f"{name} is compiled" if name == "fast" else None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b\n", [(1, "", False, False, 0, "a.b", (), ())]),
        ("from ..a import b, c\n", [(1, "", False, False, 2, "a", ("b", "c"), ())]),
        (
            "class C:\n    def f(self):\n        return lambda: __import__('m')\n",
            [(3, "C.f.<lambda>", True, False, 0, "m", (), ())],
        ),
        (
            "try:\n    import a\nexcept ImportError:\n    import b\nelse:\n    import c\n",
            [
                (2, "", False, True, 0, "a", (), ()),
                (4, "", False, False, 0, "b", (), ("a",)),
                (6, "", False, False, 0, "c", (), ()),
            ],
        ),
        (
            "try:\n    import a\nexcept KeyError:\n    import b\n",
            [(2, "", False, False, 0, "a", (), ()), (4, "", False, False, 0, "b", (), ())],
        ),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b\n", [(4, "", False, True, 0, "b", (), ())]),
        ("if __name__ == '__main__':\n    import a\n", []),
        ("def main():\n    import b\n", [(2, "main", True, False, 0, "b", (), ())]),
        ("import_module(name='a')", [(1, "", False, False, 0, "a", (), ())]),
        (
            "import importlib\nf = lambda n: importlib.import_module(n)\n",
            [(1, "", False, False, 0, "importlib", (), ())],
        ),
        ("def f(:\n", []),
    ],
)
def test_imports_are_found(imports: Imports, source: str, expected: list[tuple[object, ...]]) -> None:
    assert [tuple(entry) for entry in imports(source)] == expected


def test_a_program_in_the_library_imports_nothing(imports: Imports) -> None:
    assert imports("def main():\n    import b\n", "python/x.py") == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x.decode()", []),
        ("x.decode('UTF-8', errors)", ["encodings.utf_8"]),
        ("str(x, 'l1'), bytes(x, encoding='sjis')", ["encodings.latin_1", "encodings.shift_jis"]),
        ("str(x), codecs.encode(x, 'rot13')", ["encodings.rot_13"]),
        *(
            (source, ["encodings.*"])
            for source in (
                "x.decode(y)",
                "map(bytes.decode, x)",
                "x.encode(**y)",
                "str(*x)",
                "codecs.lookup(x)",
                "bytes(x, y)",
            )
        ),
        ("eval(x), re.compile(y)", ["compile()", "eval()"]),
        ("ast.literal_eval(x)", ["compile()"]),
        ("x.decode('ISO--8859-7')", ["encodings.iso8859_7"]),
    ],
)
def test_codecs_are_found(imports: Imports, source: str, expected: list[str]) -> None:
    assert [entry.module for entry in imports(source)] == expected
    assert all(entry.optional for entry in imports(source))


def test_a_codec_that_a_name_chooses_is_any(imports: Imports) -> None:
    """And one that is written down is that one."""
    assert search(imports, {"plugin": "def f(x, y):\n    return x.decode(y)\n"})[0] == CORE | CODECS
    assert search(imports, {"plugin": "def f(x):\n    return x.decode('437')\n"})[0] == CORE | {"encodings.cp437"}


def test_what_nobody_can_import_is_left_out_unless_it_is_kept(imports: Imports) -> None:
    assert left_out(imports, "") == {"_ast", "encodings.cp437", "encodings.idna", "time", "unicodedata"}
    assert left_out(imports, "def f():\n    import time\n") == {
        "_ast",
        "encodings.cp437",
        "encodings.idna",
        "unicodedata",
    }
    assert left_out(imports, "def f(x):\n    eval(x)\n") == {"encodings.cp437", "encodings.idna", "time"}
    assert left_out(imports, "def f(x):\n    ast.literal_eval(x)\n") == {"encodings.cp437", "encodings.idna", "time"}
    assert left_out(imports, "x = 'namereplace'") == {"_ast", "encodings.cp437", "encodings.idna", "time"}
    assert left_out(imports, "", keep=("time", "encodings.idna")) == {"_ast", "encodings.cp437", "unicodedata"}
    assert left_out(imports, "", keep=("encodings", "unicodedata", "_ast")) == {"time"}


@pytest.mark.parametrize(
    "source", ["io.TextIOWrapper(x, 'cp437')", "TextIOWrapper(x, encoding='cp437')", "XMLParser(encoding='cp437')"]
)
def test_a_codec_that_a_stream_or_a_parser_is_told_is_kept(imports: Imports, source: str) -> None:
    assert left_out(imports, f"def f(x):\n    {source}\n") == {"_ast", "encodings.idna", "time", "unicodedata"}


@pytest.mark.parametrize(
    ("source", "compiles"),
    [
        ("eval(x)", True),
        ("map(exec, x)", True),
        ("builtins.compile(x, y, z)", True),
        ("ast.literal_eval(x)", True),
        ("re.compile(x)", False),
        ("x.eval(y)", False),
    ],
)
def test_the_compiler_is_kept_for_who_compiles(imports: Imports, source: str, compiles: bool) -> None:
    assert ("_ast" in left_out(imports, f"def f(x):\n    {source}\n")) != compiles


def test_the_compiler_is_kept_for_a_function_of_the_library_that_compiles(imports: Imports) -> None:
    sources: Any = Sources({"plugin": "", "library": "def f():\n    exec(x)\n"})
    assert "_ast" not in find(["plugin", "library"], known(sources, imports)).left_out


def test_what_a_module_imported_that_is_unloaded_since_is_kept(imports: Imports) -> None:
    sources: Any = Sources({"plugin": "", "unloaded": "import time\n"})
    assert "time" in find(["plugin"], known(sources, imports)).left_out
    assert "time" not in find(["plugin"], known(sources, imports), executed=["unloaded"]).left_out


def left_out(imports: Imports, source: str, keep: tuple[str, ...] = ()) -> set[str]:
    sources: Any = Sources({"plugin": source})
    # Nobody has what C imports for these.
    return {*find(["plugin"], known(sources, imports), keep).left_out} - {"_pydecimal", "_strptime"}


def search(
    imports: Imports, own: dict[str, str], loaded: tuple[str, ...] = (), later: dict[str, str] | None = None
) -> tuple[set[str], list[str]]:
    """Returns what `find` says of a filter's own sources, which are loaded but for those of `later`."""
    sources: Any = Sources({**own, **(later or {})})
    late = find([*own, *loaded], known(sources, imports))
    return set(late.names), late.warnings


def test_cpythons_own_are_always_there(imports: Imports) -> None:
    """Of what only CPython calls, the functions are out of reach, and so is what is tried where the first choice is there."""
    assert search(imports, {"plugin": ""}) == (CORE, [])


def test_what_a_function_imports_is_there_with_what_that_imports(imports: Imports) -> None:
    kept, warnings = search(imports, {"plugin": "def f():\n    import time_user\n"})
    assert kept - CORE == {"time_user", "_strptime", "calendar"} and not warnings


def test_what_an_older_python_would_have_is_there_beside_its_replacement(imports: Imports) -> None:
    """The first has the module in this Python too, and not the name."""
    source = (
        "def f():\n    try:\n        from json import old\n    except ImportError:\n        from calendar import old\n"
    )
    assert search(imports, {"plugin": source})[0] - CORE == {"json", "calendar", "package", "package.part"}


def test_a_function_of_c_counts_if_somebody_names_it(imports: Imports) -> None:
    assert search(imports, {"plugin": "import time\n"})[0] == CORE
    assert search(imports, {"plugin": "import time\nprint(time.strptime)\n"})[0] - CORE == {"_strptime", "calendar"}


def test_what_the_library_imports_for_programs_is_left_out_but_for_who_asks(imports: Imports) -> None:
    assert search(imports, {"plugin": "import json\n"}, ("json",))[0] - CORE == {"package", "package.part"}
    assert "subprocess" in search(imports, {"plugin": "def f():\n    import subprocess\n"})[0]


def test_a_package_for_programs_comes_whole_but_none_for_processes(imports: Imports) -> None:
    files = {
        "importlib.resources": "def late():\n    import importlib.resources._adapters, subprocess\n",
        "importlib.resources._adapters": "",
        "importlib": "",
        "multiprocessing": "def late():\n    import multiprocessing.pool\n",
        "multiprocessing.pool": "",
    }
    LIBRARY.update(files)
    try:
        kept = search(imports, {"plugin": ""}, ("importlib", "importlib.resources", "multiprocessing"))[0]
    finally:
        for name in files:
            del LIBRARY[name]
    assert kept - CORE == {"importlib.resources._adapters"}


def test_what_will_fail_is_a_warning(imports: Imports) -> None:
    own = {
        "plugin": "def f():\n    import nowhere\n    import fast\n    from part import value\n    import sys, json, later, needs_c\n",
        "part": "def g():\n    try:\n        import absent\n    except ImportError:\n        pass\n",
    }
    assert search(imports, own, later={"later": "import nowhere\n"})[1] == [
        "later.py:1: nowhere is imported when this module is, and will not be in the proxy: there is no such module at build time",
        "plugin.py:2: nowhere is imported in f, and will not be in the proxy: there is no such module at build time",
        "plugin.py:3: fast is imported in f, and will not be in the proxy: fast is compiled",
        "plugin.py:5: needs_c is imported in f, and will not be in the proxy: CPython in a proxy lacks a module that it imports",
    ]
