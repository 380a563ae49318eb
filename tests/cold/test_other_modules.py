"""Modules unlike CPython's, with what newer WebAssembly has: they work, or are refused with a sentence; nothing is silently wrong."""

from __future__ import annotations

import pytest
import wasmtime

from tests.cold.pair import INTERPRETER, TRAP, Pair
from toolchain.tier.assemble import assemble
from toolchain.wasm.format import FormatError

# What a module can say of functions, tables and memories, each with an export `call`.
WORK = {
    "a global that holds a function": """
      (table 2 funcref) (elem (i32.const 0) $one)
      (global $global (mut funcref) (ref.func $three))
      (func $unused (result i32) (i32.const 9))
      (func $one (result i32) (call $unused))
      (func $three (result i32) (i32.const 3))
      (func (export "call") (param i32) (result i32)
        (table.set (i32.const 1) (global.get $global)) (call_indirect (result i32) (local.get 0)))""",
    "a table that starts with a function": """
      (table 2 2 funcref (ref.func $one))
      (func $unused (result i32) (i32.const 1))
      (func $one (result i32) (call $unused))
      (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))""",
    "elements at a sum": """
      (table 4 funcref) (elem (i32.add (i32.const 1) (i32.const 1)) $zero $one)
      (func $zero (result i32) (i32.const 0))
      (func $one (result i32) (i32.const 1))
      (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))""",
    "elements as expressions": """
      (table 3 funcref) (elem (i32.const 1) funcref (ref.func $one) (ref.null func))
      (func $one (result i32) (i32.const 1))
      (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))""",
    "a first table of other things": """
      (table 2 externref)
      (func $one (result i32) (i32.const 1))
      (func (export "call") (param i32) (result i32) (i32.add (local.get 0) (call $one)))""",
    "a first table of other things and one of functions": """
      (table 2 externref) (table $functions 3 funcref) (elem (table $functions) (i32.const 1) func $one)
      (func $one (result i32) (i32.const 1))
      (func (export "call") (param i32) (result i32) (call_indirect $functions (result i32) (local.get 0)))""",
    "two memories": """
      (memory $second 2 3) (data (memory $second) (i32.const 4) "second")
      (func (export "call") (param i32) (result i32)
        (i32.store $second offset=4 (local.get 0) (i32.add (i32.load $second (local.get 0)) (memory.size $second)))
        (memory.copy 0 $second (i32.const 0) (i32.const 0) (i32.const 30))
        (i32.load (i32.const 4)))""",
    "tags": """
      (tag $tag (param i32))
      (func (export "call") (param i32) (result i32)
        (block $caught (result i32) (try_table (catch $tag $caught) (throw $tag (local.get 0))) (unreachable)))""",
    "vectors": """
      (func $first (param v128) (result i32) (i32x4.extract_lane 0 (local.get 0)))
      (func (export "call") (param i32) (result i32) (call $first (i32x4.splat (local.get 0))))""",
    "tail calls": """
      (func $more (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
      (func (export "call") (param i32) (result i32) (return_call $more (local.get 0)))""",
}


@pytest.mark.parametrize("text", WORK.values(), ids=WORK)
def test_it_works(text: str) -> None:
    both = Pair(bytes(wasmtime.wat2wasm(f'(module (memory (export "memory") 1) {text})')))
    outcomes = {both.call("call", number) for number in (0, 1, 2, 3)}
    assert outcomes != {TRAP}
    assert both.cold.memory() == both.plain.memory()


REFUSED = {
    "a memory with addresses of 64 bits": ("(memory i64 1)", "a memory or table whose addresses have 64 bits"),
    "a table with indices of 64 bits": ("(table i64 1 funcref)", "a memory or table whose addresses have 64 bits"),
    "a structure": ("(type (struct (field i32)))", r"a type that is not a function's \(0x5f\)"),
    "types that know each other": (
        "(rec (type (func)) (type (func (param i32))))",
        r"a type that is not a function's \(0x4e\)",
    ),
    "a parameter of such a type": ("(type $f (func)) (func (param (ref null $f)))", "a value of type 0x63"),
    "a global of such a type": ("(global (ref i31) (ref.i31 (i32.const 3)))", "a value of type 0x64"),
    "a table of such a type": ("(type $f (func)) (table 1 (ref null $f))", "a value of type 0x63"),
    "an imported table of such a type": (
        '(type $f (func)) (import "a" "b" (table 1 (ref null $f)))',
        "a value of type 0x63",
    ),
    "an imported global of such a type": (
        '(type $f (func)) (import "a" "b" (global (ref null $f)))',
        "a value of type 0x63",
    ),
    "an imported tag": ('(import "a" "b" (tag (param i32)))', "import a.b of kind 4"),
}


@pytest.mark.parametrize(("text", "sentence"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused(text: str, sentence: str) -> None:
    module = bytes(wasmtime.wat2wasm(f"(module {text})"))
    with pytest.raises(FormatError, match=sentence):
        assemble(module, (), INTERPRETER)
