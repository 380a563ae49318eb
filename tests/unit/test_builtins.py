"""What only some modules of C need leaves a filter that can import none of them."""

from __future__ import annotations

import pytest
import wasmtime

from toolchain.tier import without
from toolchain.tier.contract import HEAD, NARROW, UNREACHABLE
from toolchain.tier.translate import translate
from toolchain.tools import ToolchainError
from toolchain.vm.builtins import NOTHING, Builtins, LeftOut, Owned, read_builtins
from toolchain.wasm.format import Module

BUILTINS = Builtins(
    {"one": 1, "two": 2},
    9,
    [
        Owned(frozenset(), [3], [(8, 16)]),
        Owned(frozenset({"one"}), [1, 4], [(32, 40)]),
        Owned(frozenset({"one", "two"}), [5], [(0, 4)]),
        Owned(frozenset({"two"}), [2], []),
    ],
)


def test_what_nobody_needs_is_always_left_out_and_the_rest_with_all_that_need_it() -> None:
    assert BUILTINS.without([]) == LeftOut(frozenset({3}), frozenset(), 9, ((8, 16),))
    assert BUILTINS.without(["one", "no module of C"]) == LeftOut(
        frozenset({1, 3, 4}), frozenset({1}), 9, ((8, 16), (32, 40))
    )
    assert BUILTINS.without(["one", "two"]).functions == {1, 2, 3, 4, 5}


def test_a_file_holds_it() -> None:
    assert read_builtins(BUILTINS.encode()).encode() == BUILTINS.encode()
    assert read_builtins(BUILTINS.encode()).without(["two"]) == BUILTINS.without(["two"])


def test_a_function_that_is_left_out_traps_and_one_that_starts_a_module_refuses() -> None:
    text = """(module
      (func (param i32 i64) (result i32) (i32.add (local.get 0) (i32.const 1)))
      (func (result i32) (i32.const 2))
      (func (result i32) (i32.const 3)))"""
    bodies = translate(Module(bytes(wasmtime.wat2wasm(text)))).bodies
    changed = without.bodies(bodies, LeftOut(frozenset({0, 1}), frozenset({1}), 2))
    kind = HEAD.form.unpack_from(bodies[0])[1]
    assert changed[0] == HEAD.form.pack(NARROW, kind, 2, 2, 2) + bytes([UNREACHABLE])
    assert changed[1] == changed[2] == bodies[2]
    assert without.bodies(bodies, NOTHING) == bodies


def test_data_that_is_left_out_is_zero() -> None:
    assert without.image(b"abcdefgh", LeftOut(data=((1, 3), (6, 8)))) == b"a\0\0def\0\0"


def test_a_training_that_ran_what_is_left_out_stops_the_build_with_its_name() -> None:
    left_out = LeftOut(frozenset({1, 2}), frozenset({2}))
    without.check([0, 2], left_out, "1 pickle_dump\n")
    with pytest.raises(ToolchainError, match="ran what the filter is built without: pickle_dump"):
        without.check([0, 1], left_out, "1 pickle_dump\n")
