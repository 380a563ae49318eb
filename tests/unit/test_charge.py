"""Functions are charged on the shadow stack for what they take of the engine's, here in modules small enough to count."""

from __future__ import annotations

import pytest
import wasmtime

from toolchain.guard.charge import charge, frame_size
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import FormatError, Module
from toolchain.wasm.instructions import read_body, read_instructions

TOP = 0x100000
HEAD = f"""
  (import "host" "look" (func $look (param i32)))
  (global $sp (mut i32) (i32.const {TOP}))
  (global $other (mut i32) (i32.const 0))
  (type $one (func (param i32) (result i32)))
  (table 1 funcref)
  (func (export "top") (result i32) (global.get $sp))
"""
DOWN = """
  (func (export "go") (param i32) (result i32) (call $down (local.get 0)))
  (func $down (param i32) (result i32)
    (call $look (global.get $sp))
    (if (i32.eqz (local.get 0)) (then (return (i32.const 7))))
    (block (result i32) (br 0 (call $down (i32.sub (local.get 0) (i32.const 1))))))
"""


def charged(text: str) -> tuple[list[bytes], Module]:
    """The bodies before, and the module with charged ones."""
    module = Module(bytes(wasmtime.wat2wasm(f"(module {HEAD} {text})")))
    before = module.bodies()
    charge(module, 0)
    return before, module


def run(module: Module, argument: int) -> tuple[int, list[int], int]:
    """Runs `go`: its result, where the pointer was at each look, and where it is in the end."""
    store, seen = wasmtime.Store(), list[int]()
    linker = wasmtime.Linker(store.engine)
    linker.define_func("host", "look", wasmtime.FuncType([wasmtime.ValType.i32()], []), seen.append)
    exports = linker.instantiate(store, wasmtime.Module(store.engine, module.encode())).exports(store)
    go, top = exports["go"], exports["top"]
    assert isinstance(go, wasmtime.Func) and isinstance(top, wasmtime.Func)
    return go(store, argument), seen, top(store)


def test_a_recursion_takes_its_frames_and_gives_them_back_from_every_return() -> None:
    before, module = charged(DOWN)
    frame = frame_size(1, len(before[-1]))
    result, seen, top = run(module, 3)
    assert (result, top) == (7, TOP)
    assert seen == [TOP - frame * depth for depth in range(1, 5)]


OWN = """
  (func (export "go") (param i32) (result i32) (call $down (local.get 0)))
  (func $down (param i32) (result i32) (local $frame i32)
    (global.set $sp (local.tee $frame (i32.sub (global.get $sp) (i32.const 16))))
    (call $look (local.get $frame))
    (if (local.get 0) (then (drop (call $down (i32.sub (local.get 0) (i32.const 1))))))
    (global.set $sp (i32.add (local.get $frame) (i32.const 16)))
    (i32.const 7))
"""


def numbers(body: bytes) -> list[int]:
    return [i.operands[0] for i in read_instructions(read_body(body).code) if i.opcode == wasm.I32_CONST]


def test_a_function_that_takes_shadow_stack_itself_takes_more_with_the_same_instructions() -> None:
    before, module = charged(OWN)
    frame = frame_size(2, len(before[-1]))
    after = module.bodies()[-1]
    assert [number for number in numbers(after) if number != 16] == [
        frame if number == 16 else number for number in numbers(before[-1])
    ]
    opcodes = [[i.opcode for i in read_instructions(read_body(body).code)] for body in (before[-1], after)]
    assert opcodes[0] == opcodes[1]
    result, seen, top = run(module, 2)
    assert (result, top, seen) == (7, TOP, [TOP - frame * depth for depth in range(1, 4)])


def test_what_soon_comes_to_an_end_is_not_charged() -> None:
    before, module = charged("""
      (func $leaf (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
      (func $calls_it (param i32) (result i32) (call $leaf (call $leaf (local.get 0))))
    """)
    assert module.bodies() == before


def test_a_small_function_is_charged_to_its_callers() -> None:
    small = """
      (func $small (param i32) (result i32) (call_indirect (type $one) (local.get 0) (i32.const 0)))
      (func $caller (param i32) (result i32) (local i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
        (call $small (local.get 0)))
    """
    before, module = charged(small)
    after = module.bodies()
    assert after[1] == before[1]
    frames = frame_size(1, len(before[1])) + frame_size(17, len(before[2]))
    assert numbers(after[2]) == [frames, -frames]


def test_a_function_with_several_results_is_refused() -> None:
    text = "(func $pair (result i32 i32) (call_indirect (type $one) (i32.const 0) (i32.const 0)) (call $pair) (drop))"
    with pytest.raises(FormatError, match="several results"):
        charged(text)


def test_a_frame_is_larger_with_more_locals_and_never_more_than_a_kibibyte() -> None:
    sizes = [frame_size(slots, size) for slots, size in ((0, 0), (3, 100), (50, 100), (900, 90_000))]
    assert sizes == sorted(sizes) and sizes[-1] == 1024
    assert all(size % 16 == 0 for size in sizes)
