"""Control flow, calls, locals, globals, recursion and re-entry: cold code does what compiled code does."""

from __future__ import annotations

import itertools

import pytest
import wasmtime

from tests.cold.pair import TRAP, Instance, Pair

CONTROL = """
(module
  (import "env" "again" (func $again (param i32 i64 f32 f64) (result i32)))
  (type $binary (func (param i32 i32) (result i32)))
  (type $other (func (param i64) (result i64)))
  (memory (export "memory") 1)
  (table 6 funcref)
  (elem (i32.const 0) $add $sub $other $add)
  (global $i32 (export "i32") (mut i32) (i32.const -7))
  (global $i64 (export "i64") (mut i64) (i64.const 0x123456789abcdef0))
  (global $f32 (export "f32") (mut f32) (f32.const -0.5))
  (global $f64 (export "f64") (mut f64) (f64.const 1e300))
  (global $fixed i64 (i64.const 77))
  (func $add (type $binary) (i32.add (local.get 0) (local.get 1)))
  (func $sub (type $binary) (i32.sub (local.get 0) (local.get 1)))
  (func $other (type $other) (i64.mul (local.get 0) (i64.const 3)))

  (func (export "table") (param i32) (result i32)
    (block $a (block $b (block $c (block $d
      (br_table $a $b $c $b $d (local.get 0)))
      (return (i32.const 40)))
      (return (i32.const 30)))
      (return (i32.const 20)))
    (i32.const 10))
  (func (export "table of values") (param i32) (result i32)
    (block $a (result i32)
      (i32.add (i32.const 1) (block $b (result i32)
        (i32.add (i32.const 10) (block $c (result i32)
          (br_table $a $c $b $a $c (i32.const 100) (local.get 0))))))))
  (func (export "only the default") (param i32) (result i32)
    (block (br_table 0 (local.get 0))) (local.get 0))
  (func (export "loop in the table") (param i32) (result i32) (local i32)
    (block $out (loop $next
      (local.set 1 (i32.add (local.get 1) (i32.const 1)))
      (br_table $next $out $next (i32.gt_u (local.get 1) (local.get 0)))))
    (local.get 1))
  (func (export "loop") (param i32) (result i64) (local i64)
    (loop $next
      (local.set 1 (i64.add (local.get 1) (i64.extend_i32_s (local.get 0))))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
      (br_if $next (i32.gt_s (local.get 0) (i32.const 0))))
    (local.get 1))
  (func (export "loop with a result") (param i32) (result i32)
    (loop $next (result i32)
      (if (i32.lt_s (local.tee 0 (i32.sub (local.get 0) (i32.const 3))) (i32.const 0))
        (then (return (local.get 0))))
      (br_if $next (i32.and (local.get 0) (i32.const 1)))
      (local.get 0)))
  (func (export "if") (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 5))))
    (if (result i32) (local.get 0)
      (then (if (result i32) (i32.lt_s (local.get 0) (i32.const 0)) (then (i32.const 1)) (else (i32.const 2))))
      (else (i32.const 3))))
  (func (export "branch with a value") (param i32 i32) (result i32)
    (i32.add (i32.const 1000) (block $out (result i32)
      (drop (i32.add (i32.const 1) (br_if $out (local.get 0) (local.get 1))))
      (i32.const 7))))
  (func (export "a value below") (param i32) (result i32)
    (i32.const 1) (i32.const 2) (block (br_if 0 (local.get 0)) (local.set 0 (i32.const 50)))
    (i32.add) (i32.add (local.get 0)))
  (func (export "dead code") (param i32) (result i32)
    (block $out (result i32)
      (br $out (local.get 0))
      (drop (i32.div_u (i32.const 1) (i32.const 0)))
      (block (loop (if (i32.const 1) (then (br 2)) (else (unreachable)))))
      (i32.add) ))
  (func (export "unreachable") (param i32) (if (local.get 0) (then (unreachable))))
  (func (export "local kept") (param i32) (result i32)
    (i32.sub (local.get 0) (local.tee 0 (i32.mul (local.get 0) (i32.const 3)))))
  (func (export "local kept in a block") (param i32) (result i32)
    (local.get 0) (block (br_if 0 (local.get 0)) (local.set 0 (i32.const 9)))
    (local.set 0 (i32.const 100)) (i32.add (local.get 0)))
  (func (export "select") (param i32 i32 i32) (result i32) (select (local.get 0) (local.get 1) (local.get 2)))
  (func (export "select i64") (param i64 i64 i32) (result i64) (select (local.get 0) (local.get 1) (local.get 2)))
  (func (export "select f32") (param f32 f32 i32) (result f32)
    (select (result f32) (local.get 0) (local.get 1) (local.get 2)))
  (func (export "select f64") (param f64 f64 i32) (result f64) (select (local.get 0) (local.get 1) (local.get 2)))
  (func (export "zero") (result f64) (local i32 i64 f32 f64)
    (f64.add (f64.add (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 1)))
      (f64.add (f64.promote_f32 (local.get 2)) (local.get 3))))
  (func (export "all kinds") (param i32 i64 f32 f64 i32) (result f64) (local i32 i64 f32 f64)
    (local.set 5 (local.get 0)) (local.set 6 (local.get 1)) (local.set 7 (local.get 2)) (local.set 8 (local.get 3))
    (f64.add (f64.add (f64.convert_i32_s (i32.sub (local.get 5) (local.get 4))) (f64.convert_i64_s (local.get 6)))
      (f64.add (f64.promote_f32 (local.get 7)) (local.get 8))))
  (func (export "set globals") (param i32 i64 f32 f64) (result i64)
    (global.set $i32 (i32.add (global.get $i32) (local.get 0)))
    (global.set $i64 (i64.add (global.get $i64) (local.get 1)))
    (global.set $f32 (f32.add (global.get $f32) (local.get 2)))
    (global.set $f64 (f64.add (global.get $f64) (local.get 3)))
    (i64.add (global.get $i64) (global.get $fixed)))
  (func (export "indirect") (param i32 i32 i32) (result i32)
    (i32.add (i32.const 1) (call_indirect (type $binary) (local.get 1) (local.get 2) (local.get 0))))
  (func (export "indirect other") (param i64 i32) (result i64)
    (call_indirect (type $other) (local.get 0) (local.get 1)))
  (func $many (param i32 i64 f32 f64 i32 i64 f32 f64 i32 i64) (result f64)
    (f64.add (f64.mul (f64.convert_i32_s (local.get 0)) (f64.convert_i64_s (local.get 9)))
      (f64.sub (local.get 7) (f64.promote_f32 (local.get 6)))))
  (func (export "many") (param i32 i64 f32 f64) (result f64)
    (call $many (local.get 0) (local.get 1) (local.get 2) (local.get 3)
      (i32.const 1) (i64.const 2) (local.get 2) (local.get 3) (i32.const 5) (local.get 1)))
  (func $ackermann (export "ackermann") (param i32 i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.add (local.get 1) (i32.const 1)))))
    (if (i32.eqz (local.get 1))
      (then (return (call $ackermann (i32.sub (local.get 0) (i32.const 1)) (i32.const 1)))))
    (call $ackermann (i32.sub (local.get 0) (i32.const 1))
      (call $ackermann (local.get 0) (i32.sub (local.get 1) (i32.const 1)))))
  (func $even (param i32) (result i32)
    (if (result i32) (local.get 0) (then (call $odd (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 1))))
  (func $odd (param i32) (result i32)
    (if (result i32) (local.get 0) (then (call $even (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 0))))
  (func (export "even") (param i32) (result i32) (call $even (local.get 0)))
  (func (export "again") (param i32 i64 f32 f64) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
    (i32.add (i32.shl (local.get 0) (i32.const 1))
      (call $again (i32.sub (local.get 0) (i32.const 1)) (local.get 1) (local.get 2) (local.get 3))))
  (func (export "trap inside") (param i32) (result i32)
    (i32.add (call $again (i32.const 3) (i64.const 1) (f32.const 1) (f64.const 1))
      (i32.div_s (i32.const 100) (local.get 0)))))
"""


def again(instance: Instance, name: str, arguments: tuple[float, ...]) -> int:
    """Enters the module again from a host call."""
    outcome = instance.call("again", *arguments)
    assert isinstance(outcome, tuple)
    return outcome[0]


@pytest.fixture(scope="module")
def control() -> Pair:
    pair = Pair(bytes(wasmtime.wat2wasm(CONTROL)), again)
    assert pair.tiered.kept == [0]  # the import
    return pair


NUMBERS = (0, 1, 2, 3, 4, 5, 6, 7, 100, -1, -2, 2**31 - 1, -(2**31))


@pytest.mark.parametrize(
    "name",
    [
        "table",
        "table of values",
        "only the default",
        "if",
        "a value below",
        "dead code",
        "unreachable",
        "local kept",
        "local kept in a block",
        "loop with a result",
        "trap inside",
    ],
)
def test_one_number(control: Pair, name: str) -> None:
    assert len({control.call(name, number) for number in NUMBERS if name[:4] != "loop" or number < 1000}) > 1


@pytest.mark.parametrize("name", ["loop", "loop in the table", "even"])
def test_one_small_number(control: Pair, name: str) -> None:
    assert len({control.call(name, number) for number in (0, 1, 2, 3, 50, 999, 4000)}) > 1


def test_branch_with_a_value(control: Pair) -> None:
    for value, condition in itertools.product(NUMBERS, NUMBERS):
        assert control.call("branch with a value", value, condition) == (
            ((1000 + value + 2**31) % 2**32 - 2**31,) if condition else (1007,)
        )


def test_select(control: Pair) -> None:
    for condition in NUMBERS:
        assert control.call("select", 3, 4, condition) == ((3,) if condition else (4,))
        assert control.call("select i64", 2**63 - 1, -(2**63), condition) == (
            (2**63 - 1,) if condition else (-(2**63),)
        )
        control.call("select f32", 1.5, float("-inf"), condition)
        control.call("select f64", -0.0, 1e308, condition)


def test_locals_and_globals(control: Pair) -> None:
    assert control.call("zero") == (0,)
    for number in NUMBERS:
        control.call("all kinds", number, number << 20, number / 2, number * 1e10, 77)
        control.call("many", number, number << 20, number / 2, number * 1e10)
        control.call("set globals", number, number << 20, number / 2, number * 1e298)
        assert control.cold.globals() == control.plain.globals()


def test_calls(control: Pair) -> None:
    assert control.call("indirect", 0, 40, 1) == (42,)
    assert control.call("indirect", 1, 40, 1) == (40,)
    assert control.call("indirect", 3, 2**31 - 1, 1) == (-(2**31) + 1,)
    assert control.call("indirect other", 14, 2) == (42,)
    for index in (2, 4, 5, 6, 7, -1, 2**31 - 1, -(2**31)):  # of another type, null, beyond the table
        assert control.call("indirect", index, 1, 2) == TRAP
    for index in (0, 1, 4, 6, -1):
        assert control.call("indirect other", 1, index) == TRAP
    assert control.call("ackermann", 2, 300) == (603,)
    assert control.call("ackermann", 3, 5) == (253,)


def test_entered_again_from_the_host(control: Pair) -> None:
    for depth in (0, 1, 20):
        assert control.call("again", depth, 2**40, 0.5, 1e-300) == (depth * (depth + 1),)
    # A trap leaves nothing behind that the next call would stumble over.
    for _ in range(100):
        assert control.call("trap inside", 0) == TRAP
    assert control.call("trap inside", 5) == (12 + 20,)


ENDLESS = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global (export "left") (mut i32) (i32.const 0))
  (func $down (export "down") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0)))))
"""


def test_a_full_value_stack_is_a_critical_line_and_a_trap() -> None:
    lines = []

    def log(instance: Instance, name: str, arguments: tuple[float, ...]) -> int:
        level, data, size = map(int, arguments)
        lines.append((name, level, instance.memory()[data : data + size]))
        return 0

    pair = Pair(bytes(wasmtime.wat2wasm(ENDLESS)), log)
    assert pair.call("down", 1000) == (1000,)
    before = pair.cold.memory()
    assert pair.plain.call("down", -1) == TRAP
    assert not lines
    for _ in range(2):
        assert pair.cold.call("down", -1) == TRAP
    assert lines == [("proxy_log", 5, b"cold tier: the value stack is full")] * 2
    assert pair.cold.memory() == before
    assert pair.cold.call("down", 100_000) == (100_000,)
