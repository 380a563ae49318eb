"""Branch hints: which way the branches of a module go in a training, counted and written where V8 reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from toolchain.tier import heat
from toolchain.tier.assemble import FORGET
from toolchain.tier.hints import SECTION, counting, find_hints, put_hints
from toolchain.tools import ToolchainError
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import CODE, MEMORY, Module, Reader

MODULE = Path("filter/filter.wasm").read_bytes()

# Function 0 is the host's. Branches in 1: an `if` and a `br_if`; in 2 a `br_if` that the interpreter of this test takes as often as not.
TEXT = """
(module
  (import "host" "nothing" (func $nothing))
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "rarely") (param i32) (result i32)
    (local i64)
    (if (i32.eq (local.get 0) (i32.const 7)) (then (call $nothing) (return (i32.const 1))))
    (block $odd
      (br_if $odd (i32.and (local.get 0) (i32.const 1)))
      (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1))))
    (i32.load (i32.const 8)))
  (func (export "ever") (param i32) (result i32)
    (loop $again
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $again (local.get 0)))
    (local.get 0)))
"""


# What `rarely` gives from 8 on: one more for each even number.
LATER = [5 + number // 2 for number in range(12)]


def run(module: bytes, once: int = 0) -> Iterator[bytes]:
    """Trains: 20 calls each, after `once` calls of what happens once."""
    store = wasmtime.Store()
    linker = wasmtime.Linker(store.engine)
    linker.define_func("host", "nothing", wasmtime.FuncType([], []), lambda: None)
    exports = linker.instantiate(store, wasmtime.Module(store.engine, module)).exports(store)

    def call(name: str, *arguments: int) -> int:
        function = exports[name]
        assert isinstance(function, wasmtime.Func)
        return int(function(store, *arguments) or 0)

    for _ in range(once):
        assert call("rarely", 7) == 1
    if once:
        call(FORGET)
    assert [call("rarely", number) for number in range(20)] == [1, 1, 2, 2, 3, 3, 4, 1, *LATER]
    assert call("ever", 20) == 0
    memory = exports["memory"]
    assert isinstance(memory, wasmtime.Memory)
    yield bytes(memory.read(store))


def hinted(module: bytes, once: int = 0) -> bytes:
    """Returns the module with hints of what it does in a training."""
    made = Module(module)
    put_hints(made, find_hints(made, heat.total(heat.count(module, lambda counted: run(counted, once)))))
    return made.encode()


def read(module: bytes) -> dict[int, list[tuple[int, bool]]]:
    """Returns a module's hints by function: where, and whether the condition is true as a rule."""
    for section, body in Module(module).sections:
        reader = Reader(body)
        if section == CODE:
            break
        if section == 0 and reader.name() == SECTION:
            found = {}
            for _ in reader.repeat():
                function = reader.u32()
                hints = []
                for _ in reader.repeat():
                    at, size, value = reader.u32(), reader.u32(), reader.u8()
                    assert size == 1
                    hints.append((at, bool(value)))
                found[function] = hints
            return found
    return {}


@pytest.mark.parametrize("once", [0, 100])
def test_what_nearly_always_goes_one_way_gets_a_hint(once: int) -> None:
    module = bytes(wasmtime.wat2wasm(TEXT))
    made = hinted(module, once)
    bodies = Module(module).bodies()
    hints = read(made)
    # The `if` is false but once; the `br_if` to $odd goes either way; the loop goes on 19 times of 20.
    assert [[value for _, value in found] for found in hints.values()] == [[False], [True]]
    assert list(hints) == [2, 3]
    for function, opcode in ((2, wasm.IF), (3, wasm.BR_IF)):
        ((at, _),) = hints[function]
        assert bodies[function - 1][at] == opcode
    assert Module(made).bodies() == bodies
    next(run(made))


def test_calls_and_branches_are_counted_since_the_module_forgot() -> None:
    counted = counting(bytes(wasmtime.wat2wasm(TEXT)))
    assert counted.read(next(run(counted.module, 100))) == {2: (20, 1, 19, 9, 10), 3: (1, 19, 1)}


def test_a_second_memory_stays_as_it_is() -> None:
    module = bytes(wasmtime.wat2wasm(TEXT.replace('"memory") 1)', '"memory") 1) (memory 2 2)')))
    made = hinted(module)
    assert read(made) == read(hinted(bytes(wasmtime.wat2wasm(TEXT))))
    assert Module(made).get(MEMORY) == Module(module).get(MEMORY)


@pytest.mark.parametrize("text", [TEXT.replace('"memory") 1', '"memory") 1 1'), "(module)"], ids=["limited", "none"])
def test_a_module_that_cannot_have_more_memory_is_refused(text: str) -> None:
    with pytest.raises(ToolchainError, match="a memory without a limit"):
        counting(bytes(wasmtime.wat2wasm(text)))


def test_the_filters_own_are_for_functions_that_it_has() -> None:
    hints = read(MODULE)
    module = Module(MODULE)
    first = len(list(module.function_types())) - len(module.bodies())
    assert len(hints) > 100
    for function, found in hints.items():
        places = [at for at, _ in found]
        assert places == sorted(places)
        assert all(module.bodies()[function - first][at] in (wasm.IF, wasm.BR_IF) for at in places)
