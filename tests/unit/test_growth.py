"""What V8 would make of a module by the rules of its own: which callees it puts into a caller, and which loops it repeats."""

from __future__ import annotations

import pytest
import wasmtime

from toolchain.tier.growth import limit
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import Module
from toolchain.wasm.instructions import find, read_body

LOOPS = """
  (func $small (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func (export "run") (param i32) (result i32) (local i32)
    (loop $outer
      (loop $inner
        (local.set 1 (call $small (local.get 1)))
        (br_if $inner (i32.and (local.get 1) (i32.const 3))))
      (br_if $outer (i32.lt_u (local.get 1) (local.get 0))))
    (local.get 1))
"""
TINY = "(func (param i32) (result i32) (local.get 0))" * 60
USUAL = f"(func {'(drop (i32.const 1))' * 20})" * 30
LARGE = (
    f'(func (export "large") (result i32) {"(drop (call $small (i32.const 5)))" * 2000} (call $small (i32.const 1)))'
)


def module(code: str) -> Module:
    return Module(bytes(wasmtime.wat2wasm(f"(module {code})")))


def run(made: Module, name: str, *arguments: int) -> int:
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, made.encode()), [])
    function = instance.exports(store)[name]
    assert isinstance(function, wasmtime.Func)
    return int(function(store, *arguments))


def put_into(made: Module, caller: int) -> list[int]:
    """Returns the callees that V8 puts into a caller without Liftoff, in their order."""
    sizes = [len(body) for body in made.bodies()]
    small = sum(size < 50 for size in sizes) / len(sizes)
    factor = 2 if small <= 0.25 else 5 if small >= 0.5 else 2 + (small - 0.25) / 0.25 * 3
    budget = max(50, int(factor * sizes[caller]))
    found: list[int] = []
    for place in find(read_body(made.bodies()[caller]).code, {wasm.CALL}):
        callee = place.operands[0]
        if sizes[callee] < budget and len(found) < 60:
            budget -= sizes[callee]
            found.append(callee)
    return found


def loops(made: Module, function: int) -> int:
    return sum(1 for _ in find(read_body(made.bodies()[function]).code, {wasm.LOOP}))


@pytest.mark.parametrize("more", [USUAL, USUAL + TINY])
def test_v8_puts_callees_into_those_functions_alone_that_are_opened(more: str) -> None:
    before = module(LOOPS + LARGE + more)
    assert 0 in put_into(before, 1)
    assert put_into(before, 2) == [0] * 60
    closed, opened = module(LOOPS + LARGE + more), module(LOOPS + LARGE + more)
    limit(closed, (), {})
    assert put_into(closed, 1)
    assert put_into(closed, 2)
    assert 0 not in put_into(closed, 1) + put_into(closed, 2)
    limit(opened, {1}, {})
    assert put_into(opened, 1) == put_into(before, 1)
    assert 0 not in put_into(opened, 2)


def test_what_a_module_does_stays_the_same() -> None:
    made = module(LOOPS + LARGE)
    limit(made, (), {})
    assert run(made, "run", 9) == run(module(LOOPS + LARGE), "run", 9) == 12
    assert run(made, "large") == 2


def test_the_innermost_loop_alone_gets_another() -> None:
    made = module(LOOPS)
    assert loops(made, 1) == 2
    limit(made, (), {})
    assert loops(made, 1) == 3
    long = module(f"(func (loop {'(drop (i32.const 1))' * 400}))")
    limit(long, (), {})
    assert loops(long, 0) == 1


def test_hints_stay_with_their_branches() -> None:
    def branches(of: Module) -> list[int]:
        return [place.begin for place in find(read_body(of.bodies()[1]).code, {wasm.BR_IF})]

    made = module(LOOPS)
    inner, outer = branches(made)
    moved = limit(made, (), {1: [(inner, True), (outer, False)]})
    # The first is the new loop's own, which has no hint.
    assert moved == {1: [(branches(made)[1], True), (branches(made)[2], False)]}
