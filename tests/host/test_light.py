"""What a filter weighs, and that nothing it may reach was cut for it."""

from __future__ import annotations

import ast

import pytest

from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build
from toolchain.runtime.docstrings import clear
from toolchain.tools import ToolchainError
from toolchain.vm.heap import clear_free_chunks

# What was loaded in a filter that imports nothing but the SDK, when the interpreter came as componentize-py leaves it.
IMPORTABLE = """
__future__ __main__ _abc _ast _bisect _codecs _collections _collections_abc _contextvars _frozen_importlib
_frozen_importlib_external _functools _imp _io _opcode _opcode_metadata _operator _py_warnings _random _sitebuiltins _sre _stat
_thread _tokenize _types _typing _warnings _weakref _weakrefset abc annotationlib ast bisect builtins codecs collections
collections.abc copy copyreg dataclasses dis encodings encodings.aliases encodings.utf_8 enum errno functools gc genericpath
importlib importlib._bootstrap importlib._bootstrap_external importlib.machinery inspect io itertools keyword linecache marshal
math opcode operator os os.path posix posixpath random re re._casefix re._compiler re._constants re._parser reprlib site stat sys
time token tokenize types typing warnings weakref zipimport
""".split()  # noqa: SIM905

# What was not loaded then, and came from CPython's own frozen modules; importlib.util and runpy need more than that.
FROZEN = """
__hello__ __hello_alias__ __hello_only__ __phello__ __phello__.ham __phello__.ham.eggs __phello__.spam __phello_alias__
__phello_alias__.spam importlib.util io ntpath runpy
""".split()  # noqa: SIM905

GUEST = f"""
import proxy_wasm

def say(value): proxy_wasm.info(repr(value))

def imported():
    import sys
    {"; ".join(f"import {name}" for name in IMPORTABLE + FROZEN)}
    assert set({IMPORTABLE + FROZEN}) <= set(sys.modules)
    say(sorted(name for name in sys.modules if "componentize" in name or "wit" in name))

def used():
    import ast, copy, dataclasses, inspect, random, re, typing, warnings
    def typed[T](value: T, other: "int" = 1) -> T: return value
    say(typed.__type_params__)
    say(typing.get_type_hints(typed)["other"])
    say(str(inspect.signature(typed)))
    say(re.sub("(b+)", r"<\\1>", "abbc"))
    say(dataclasses.make_dataclass("Point", ["x", "y"])(1, 2))
    say(ast.literal_eval("[1, 'two']"))
    say(copy.deepcopy({{"a": [1]}}))
    say(0 <= random.random() < 1)
    warnings.warn("on purpose")

def library():
    raise ModuleNotFoundError(f"still {{__import__('js' + 'on')}}")

def documented():
    "Its own docstring."
    say(documented.__doc__)
    say((exit.__class__.__name__, __debug__))

def written_in_c():
    import _frozen_importlib, ast, inspect, os
    undocumented = (len, str.split, os.stat, os.walk, _frozen_importlib.spec_from_loader)
    say([thing.__doc__ for thing in undocumented])
    say(str(inspect.signature(str.split)))
    # The name of this constant is the end of a docstring.
    name = ast.fix_missing_locations(ast.Expression(ast.Name("False", ast.Load())))
    compile(name, "", "eval")

class Stream(proxy_wasm.StreamContext):
    def on_new_connection(self):
        globals()[proxy_wasm.get_property(b"source\\0address").decode()]()

class Root(proxy_wasm.RootContext):
    stream_context = Stream

proxy_wasm.register(Root)
"""


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> WasmModule:
    vm = WasmModule(build(tmp_path_factory.mktemp("light"), {"plugin.py": GUEST}))
    assert vm.start()
    return vm


def say(vm: WasmModule, function: str) -> list[str]:
    vm.host.logs.clear()
    connection = vm.connection(source=function.encode())
    connection.new_connection()
    connection.close()
    return vm.host.lines()


def test_what_could_be_imported_late_still_can(vm: WasmModule) -> None:
    assert say(vm, "imported") == ["Hello world!", "[]"]


def test_what_is_imported_late_works(vm: WasmModule) -> None:
    assert say(vm, "used")[:8] == [
        "(T,)",
        "<class 'int'>",
        "\"(value: T, other: 'int' = 1) -> T\"",
        "'a<bb>c'",
        "Point(x=1, y=2)",
        "[1, 'two']",
        "{'a': [1]}",
        "True",
    ]
    assert vm.host.lines()[8].endswith("UserWarning: on purpose")


def test_what_nobody_names_is_still_missing(vm: WasmModule) -> None:
    assert say(vm, "library")[-1].endswith("No module named 'json'")


def test_a_filters_docstrings_and_the_sites_builtins_stay(vm: WasmModule) -> None:
    assert say(vm, "documented") == ["'Its own docstring.'", "('Quitter', True)"]


def test_what_is_written_in_c_keeps_its_signatures_only(vm: WasmModule) -> None:
    undocumented, signature, *_, error = say(vm, "written_in_c")
    assert not any(ast.literal_eval(undocumented))
    assert signature == "'(self, /, sep=None, maxsplit=-1)'"
    assert error.endswith("ValueError: identifier field can't represent 'False' constant")


def test_of_a_docstring_that_something_else_points_into_the_rest_stays() -> None:
    data = b"one(x)\n--\n\nSay one.\0two\0three($self)\n--\n\nTrue or False\0)\n--\n\n\0four"
    false = 1000 + data.index(b"False")
    expected = data.replace(b"Say one.", bytes(8)).replace(b"True or ", bytes(8))
    assert clear(data, 1000, [0, 1000, false, false + 2]) == expected


def chunk(size: int, used: bool, content: bytes) -> bytes:
    return bytes(4) + (size | 1 | (2 if used else 0)).to_bytes(4, "little") + content.ljust(size - 8, b"x")


def test_free_chunks_are_zeroed_but_for_their_links() -> None:
    page = bytes(65536)
    heap = (
        bytes(8) + chunk(32, True, b"used") + chunk(64, False, b"12345678") + chunk(256, False, b"links" * 4 + b"link")
    )
    memory = bytearray(page + heap)
    clear_free_chunks(memory, len(page))
    kept = chunk(32, True, b"used") + chunk(64, False, b"12345678".ljust(56, b"\0"))
    assert memory == page + bytes(8) + kept + chunk(256, False, (b"links" * 4 + b"link").ljust(248, b"\0"))


def test_a_heap_of_another_shape_is_told() -> None:
    with pytest.raises(ToolchainError, match="not laid out as dlmalloc's: a chunk of 1640 bytes at 0x8"):
        clear_free_chunks(bytearray(bytes(8) + chunk(1640, True, b"")[:64]), 0)
