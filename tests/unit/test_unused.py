"""What nothing can use becomes traps, and the build stops if something leads there."""

from __future__ import annotations

import pytest
import wasmtime

from toolchain.guard.callgraph import call_graph
from toolchain.guard.data import read_constants, read_table
from toolchain.guard.recursion import Tables, rules_of
from toolchain.runtime import unused
from toolchain.wasm.code import UNREACHABLE, function_body
from toolchain.wasm.format import FormatError, Module

TABLES = Tables(refused={"PyInit_library": "refuse"})
PIECES = [("first", "last")]
LIBRARY = """
  (memory 1)
  (global $sp (mut i32) (i32.const 0x100000))
  (global $place (mut i32) (i32.const 10))
  (table 20 funcref)
  (elem (i32.const 10) $method $PyInit_library $other)
  (func $before (result i32) (i32.const 1))
  (func $first (call $last))
  (func $PyInit_library (result i32) (call $first) (i32.const 0))
  (func $method (call $first))
  (func $last)
  (func $other (call $stores))
  (func $stores (i32.store (i32.const 8) (i32.add (global.get $place) (i32.const 2))))
"""
RELOCATIONS = '(func (export "lib.__wasm_apply_data_relocs") (i32.store (i32.const 8) (global.get $place)))'


def drop(text: str, pieces: list[tuple[str, str]] = PIECES) -> tuple[Module, int]:
    module = Module(bytes(wasmtime.wat2wasm(f"(module {LIBRARY} {text})")))
    rules = rules_of(module.function_names(), TABLES)
    table = read_table(module, read_constants(module, 0))
    return module, unused.drop(
        module, call_graph(module, 0, rules.unfollowed), table, rules, unused.find(rules, pieces)
    )


def test_the_pieces_become_traps_and_what_lies_around_them_stays() -> None:
    module, saved = drop(RELOCATIONS)
    trap = function_body(UNREACHABLE)
    dropped = {module.function_names()[index] for index, body in enumerate(module.bodies()) if body == trap}
    # The initialiser itself stays: its import is to fail, with a reason.
    assert dropped == {"first", "method", "last"}
    assert saved > 3
    wasmtime.Module(wasmtime.Engine(), module.encode())


@pytest.mark.parametrize(
    ("leak", "found"),
    [
        ("(func $leak (call $last))", "leak leads to last"),
        ("(func $leak (i32.store (i32.const 4) (global.get $place)))", "leak leads to method"),
        ("(func $leak (drop (call $id (global.get $place)))) (func $id (param i32) (result i32) (local.get 0))", "leads to method"),
        ("(type $t (func)) (func $leak (call_indirect (type $t) (global.get $place)))", "leak leads to method"),
    ],
    ids=["a call", "a pointer that is stored", "a pointer that is passed", "a pointer that is called"],
)  # fmt: skip
def test_a_way_in_stops_the_build(leak: str, found: str) -> None:
    with pytest.raises(FormatError, match=found):
        drop(leak)


@pytest.mark.parametrize(
    ("piece", "reason"), [(("first", "gone"), "0 functions are called gone"), (("last", "first"), "comes behind")]
)
def test_a_piece_that_is_not_there_stops_the_build(piece: tuple[str, str], reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        drop("", [piece])
