"""Which functions of the library a filter can come to call."""

from __future__ import annotations
import __future__

import ast
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from toolchain.vm.calling import FUNCTION, Calling, Part

LIBRARY = {
    "tool": """
import other as renamed
__all__ = ["unnamed"]
__all__ += ["unnamed"]
def named(): unnamed
def unnamed(): import late
def recursive(): recursive()
class Base:
    def method(self): import late
    def __repr__(self): import late
    def __later__(self): import late
class Derived(Base, metaclass=Meta): pass
class Meta(type):
    def __call__(self): import late
instance = Derived()
@registry.register
def _(x): import late
def given(): import late
hold(given)
if named(): pass
""",
    "other": "def open(): import late\n",
}


Find = Callable[[str], list[Part]]


@pytest.fixture(scope="module")
def parts() -> Find:
    """Returns the program that runs in the compiling CPython, run by this one."""
    source = Path("toolchain/vm/named.py").read_bytes()
    code = compile(source, "named.py", "exec", __future__.annotations.compiler_flag, dont_inherit=True)
    program = sys.modules["boot"] = ModuleType("boot")
    exec(code, {})
    del sys.modules["boot"]
    return lambda source: [
        Part(*part) for part in ast.literal_eval(program.named(b"x.py\0" + source.encode()).decode())
    ]


def called(parts: Find, own: str, loaded: bool = True) -> set[str]:
    """Returns the functions of the library that a filter's source can call."""
    calling = Calling(lambda name: name == "__repr__")
    for name, source in LIBRARY.items():
        calling.add(name, parts(source), own=False, loaded=loaded)
    calling.add("own", parts(own), own=True, loaded=True)
    calling.follow()
    found = [(name, part.name) for name in LIBRARY for part in parts(LIBRARY[name]) if part.kind == FUNCTION]
    return {function for name, function in found if calling.reaches(name, f"{function}.<lambda>")}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("", set()),
        ("import tool\ntool.named()", {"named", "unnamed"}),
        ("from tool import recursive", {"recursive"}),
        ("getattr(sys.modules['tool'], 'recursive')", {"recursive"}),
        ("x.recursive()", set()),
        ("import tool\nx.open()", set()),
        ("import other\nx.open()", {"open"}),
        ("x.method()", set()),
        ("tool.Base\nx.method()", {"Base.method", "Base.__repr__"}),
        ("tool.instance", {"Base.__repr__"}),
        ("tool.instance.__later__()", {"Base.__repr__", "Base.__later__"}),
        ("# tool.named\nif TYPE_CHECKING:\n    from tool import named", set()),
    ],
)
def test_a_function_is_called_by_who_names_it(parts: Find, own: str, expected: set[str]) -> None:
    # What was given away when the module was imported is called by nobody knows whom.
    assert called(parts, own) == expected | {"_", "given"}


def test_what_is_imported_late_runs(parts: Find) -> None:
    assert called(parts, "", loaded=False) >= {"named", "unnamed", "given", "_", "Base.__repr__"}


def test_cpython_calls_functions_of_modules_that_it_imports(parts: Find) -> None:
    calling = Calling(lambda name: name == "unnamed", ["tool"])
    calling.add("tool", parts(LIBRARY["tool"]), own=False, loaded=True)
    calling.follow()
    assert calling.reaches("tool", "unnamed") and not calling.reaches("tool", "named")


def test_a_function_that_is_in_no_part_counts(parts: Find) -> None:
    calling = Calling(lambda _: False)
    calling.add("tool", parts(LIBRARY["tool"]), own=False, loaded=True)
    assert calling.reaches("tool", "<lambda>") and not calling.reaches("tool", "unnamed")
    calling.allow_everything()
    assert calling.reaches("tool", "unnamed")
