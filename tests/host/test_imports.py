"""Host calls that a filter cannot reach are no imports: what is left is called as before, and the rest is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import wasmtime

from tests.host.toolchain_case import ABI, freeze, write
from toolchain import imports
from toolchain.wasm.format import Module

NAMES = ("one", "two", "three", "four")
# Each import adds its number. What is called is called directly, through the table, and from outside.
SOURCE = """
(module
  (import "env" "one" (func $one (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "zero" (func $zero (result i32)))
  (import "env" "two" (func $two (param i32 i32) (result i32)))
  (import "env" "three" (func $three (param i32) (result i32)))
  (import "env" "four" (func $four (param i32) (result i32)))
  (table 4 funcref)
  (elem (i32.const 0) $one $three $four $own)
  (func $own (param i32) (result i32) (i32.add (local.get 0) (i32.const 16)))
  (func (export "one") (result i32) (call $one (i32.const 16)))
  (func (export "two") (result i32) (call $two (i32.const 16) (i32.const 4)))
  (func (export "three") (result i32) (call $three (i32.const 16)))
  (func (export "four") (result i32) (call $four (i32.const 16)))
  (func (export "zero") (result i32) (call $zero))
  (func (export "own") (result i32) (call $own (i32.const 16)))
  (func (export "table") (param i32) (result i32) (call_indirect (param i32) (result i32) (i32.const 16) (local.get 0)))
  (export "direct" (func $three)))
"""


MODULE = bytes(wasmtime.wat2wasm(SOURCE))


def run(module: bytes) -> dict[str, int]:
    """Returns what each export gives."""
    engine = wasmtime.Engine()
    store, compiled = wasmtime.Store(engine), wasmtime.Module(engine, module)
    linker = wasmtime.Linker(engine)
    for imported in compiled.imports:
        number = ("zero", *NAMES).index(imported.name or "")
        assert isinstance(imported.type, wasmtime.FuncType)
        linker.define_func(imported.module, imported.name or "", imported.type, lambda *a, n=number: sum(a) + n)
    exports = linker.instantiate(store, compiled).exports(store)
    calls = {name: exports[name] for name in (*NAMES, "zero", "own")}
    found = {name: call(store) for name, call in calls.items()}  # type: ignore[operator]
    table = exports["table"]
    assert isinstance(table, wasmtime.Func)
    return found | {f"table {i}": table(store, i) for i in range(4)} | {"direct": exports["direct"](store, 16)}  # type: ignore[operator]


BEFORE = {"one": 17, "two": 22, "three": 19, "four": 20, "zero": 0, "own": 32}
BEFORE |= {"table 0": 17, "table 1": 19, "table 2": 20, "table 3": 32, "direct": 19}
ASKING = {
    "one": ["one", "table 0"],
    "two": ["two"],
    "three": ["three", "table 1", "direct"],
    "four": ["four", "table 2"],
}


@pytest.mark.parametrize("dropped", [set(c) for n in range(5) for c in itertools.combinations(NAMES, n)], ids=str)
def test_what_is_left_is_called_as_before(dropped: set[str]) -> None:
    module = imports.drop(MODULE, dropped)
    wanted = dict(BEFORE)
    for name in dropped:
        wanted |= dict.fromkeys(ASKING[name], imports.NOT_IMPORTED)
    assert run(module) == wanted
    assert {i.name for i in Module(module).imports()} == {"zero", *NAMES} - dropped


def test_the_section_says_what_is_to_go() -> None:
    module = imports.mark(MODULE, ["two", "four"])
    assert imports.marked(module) == ["two", "four"]
    assert imports.marked(imports.drop(module, [])) == []
    assert imports.marked(MODULE) == []


def test_what_no_source_names_is_unreached() -> None:
    assert imports.unreached(["proxy_a", "proxy_ab", "proxy_c"], [b"x.proxy_ab()", b"# proxy_c"]) == ["proxy_a"]


TCP = """
import proxy_wasm

class Plugin(proxy_wasm.RootContext):
    def on_tick(self):
        pass

proxy_wasm.register(Plugin)
"""
OF_HTTP = "proxy_send_local_response", "proxy_add_header_map_value", "proxy_set_header_map_pairs"
OF_GRPC = {name for name in ABI.host_calls if "grpc" in name} | {"proxy_get_status"}


def unreached(root: Path, source: str) -> set[str]:
    """Returns the host calls that a filter of this source cannot reach."""
    write(root, {"plugin.py": source})
    return set(freeze(root).unreached)


def test_a_filter_for_tcp_imports_nothing_of_http(tmp_path: Path) -> None:
    found = unreached(tmp_path, TCP)
    assert found >= {*OF_HTTP, *OF_GRPC} and "proxy_log" not in found


def test_a_filter_for_http_does_not_import_grpc(tmp_path: Path) -> None:
    source = "import proxy_wasm\n\nclass Plugin(proxy_wasm.RootContext):\n    http_context = proxy_wasm.HttpContext\n"
    found = unreached(tmp_path, source + "\nproxy_wasm.register(Plugin)\n")
    assert found >= OF_GRPC and not found & set(OF_HTTP)


def test_a_filter_that_names_it_imports_it(tmp_path: Path) -> None:
    assert not unreached(tmp_path, f"from proxy_wasm import grpc\n{TCP}") & OF_GRPC


def test_what_a_module_calls_that_was_unloaded_is_imported(tmp_path: Path) -> None:
    write(tmp_path, {"mine.py": "import _proxy_wasm\ncall = lambda: _proxy_wasm.proxy_get_status()\n"})
    assert "proxy_get_status" not in unreached(
        tmp_path, f"import mine, sys\ncall = mine.call\ndel sys.modules['mine']\n{TCP}"
    )
