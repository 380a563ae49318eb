"""What overruns the end of the module's memory traps, compiled and cold, reaches nothing of the tier's, and the VM goes on."""

from __future__ import annotations

import itertools

import pytest
import wasmtime

from tests.cold.pair import TRAP, Pair

PAGE = 65536
FAR = 2**31 - 1

# Functions by index: 0 fills, 1 copies, 2 to 5 load and store, 6 puts a passive segment in place; the others use what would be hit.
TEXT = """
(module
  (memory (export "memory") PAGES)
  (data $passive "0123456789abcdef")
  (table 3 funcref)
  (elem (i32.const 0) $fib $size $grow)
  (global $global (export "global") (mut i64) (i64.const 5))
  (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 0x55) (local.get 1)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "load") (param i32) (result i64) (i64.load offset=8 align=1 (local.get 0)))
  (func (export "load8") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "store") (param i32 i64) (i64.store offset=8 align=1 (local.get 0) (local.get 1)))
  (func (export "store8") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "init") (param i32 i32) (memory.init $passive (local.get 0) (i32.const 0) (local.get 1)))
  (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add
        (call $fib (i32.sub (local.get 0) (i32.const 1)))
        (call_indirect (param i32) (result i32) (i32.sub (local.get 0) (i32.const 2)) (i32.const 0))))))
  (func $size (export "size") (result i32) (memory.size))
  (func $grow (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size through the table") (result i32) (call_indirect (result i32) (i32.const 1)))
  (func (export "fib of the global") (result i64)
    (global.set $global (i64.add (global.get $global) (i64.const 1)))
    (i64.extend_i32_u (call $fib (i32.and (i32.wrap_i64 (global.get $global)) (i32.const 7))))))
"""
FUNCTIONS = TEXT.count("(func (export") + TEXT.count("(func $")


def pair(pages: str, keep: tuple[int, ...]) -> Pair:
    made = Pair(bytes(wasmtime.wat2wasm(TEXT.replace("PAGES", pages))), keep=keep)
    # `memory.init` is not in cold code: its function stays compiled.
    assert made.tiered.kept == sorted({*keep, 6})
    return made


def works(both: Pair, pages: int) -> None:
    """Asserts that everything is as if nothing had happened."""
    assert both.call("fib", 15) == (610,)
    assert both.call("fib of the global") != TRAP
    assert both.call("size") == both.call("size through the table") == (pages,)
    assert both.cold.globals() == both.plain.globals()
    assert both.cold.memory() == both.plain.memory()


@pytest.mark.parametrize("keep", [(), (0, 1, 2, 3, 4, 5), tuple(range(FUNCTIONS))], ids=["cold", "some", "compiled"])
def test_an_overrun_traps_and_the_vm_goes_on(keep: tuple[int, ...]) -> None:
    both, end = pair("1", keep), PAGE
    works(both, 1)
    # From inside across the end, at it, behind it, and far behind it.
    for begin, size in itertools.product(
        (0, 8, end - 8, end, end + 1, 3 * PAGE, FAR, -1), (9, PAGE, 3 * PAGE, FAR, -1)
    ):
        if begin >= 0 and begin + size <= end and size >= 0:
            continue
        assert both.call("fill", begin, size) == TRAP
        assert both.call("copy", begin, 0, size) == TRAP
        assert both.call("copy", 0, begin, size) == TRAP
        assert both.call("init", begin, size) == TRAP
        works(both, 1)
    for address in (end - 15, end - 8, end - 1, end, end + PAGE, FAR, -16, -8, -1):
        assert both.call("load", address) == both.call("store", address, -1) == TRAP
    for address in (end, end + 1, end + 7 * PAGE, FAR, -1):
        assert both.call("load8", address) == both.call("store8", address, 255) == TRAP
    assert both.call("init", end - 15, 16) == TRAP
    works(both, 1)
    # And up to the end everything is the module's.
    for name, arguments in {"fill": (end - 9, 9), "copy": (end - 99, 1, 99), "init": (end - 16, 16)}.items():
        assert both.call(name, *arguments) == ()
    assert both.call("load", end - 16) == (int.from_bytes(b"89abcdef", "little"),)
    works(both, 1)


@pytest.mark.parametrize("keep", [(), tuple(range(FUNCTIONS))], ids=["cold", "compiled"])
@pytest.mark.parametrize("pages", ["0", "1", "2 4", "0 1", "3 3"])
def test_the_memory_has_its_own_size_and_grows_as_before(pages: str, keep: tuple[int, ...]) -> None:
    both, now = pair(pages, keep), int(pages.split()[0])
    most = int(pages.split()[-1]) if " " in pages else 9
    works(both, now)
    while now < most:
        assert both.call("fill", now * PAGE, 1) == both.call("load8", now * PAGE) == TRAP
        assert both.call("grow", 1) == (now,)
        now += 1
        assert both.call("load8", now * PAGE - 1) == (0,)
        assert both.call("fill", 0, now * PAGE) == ()
        works(both, now)
    assert both.call("grow", 0x10000) == (-1,)
    assert both.call("grow", 1) == ((-1,) if " " in pages else (now,))
