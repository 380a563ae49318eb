"""Code written with names is what the reference assembler makes of the text format, and nobody writes it in another way."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from toolchain.wasm import code as asm
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import CORE_MODULE, DATA, ELEMENT, F32, F64, I32, I64, Module, Reader, vector
from toolchain.wasm.instructions import UnknownInstruction, find, read_body, read_instructions

AROUND = """
  (memory $m 1) (memory $other 1) (table $t 9 funcref) (table $second 9 funcref)
  (global $g (mut i32) (i32.const 0)) (type $none (func)) (type $unary (func (param i32) (result i32))) (data $d "")
"""


def assembled(text: str) -> bytes:
    """The body of a function that is written in the text format."""
    module = Module(bytes(wasmtime.wat2wasm(f"(module {AROUND} (func (type $none) (local i32 i32 i32 i64) {text}))")))
    return module.bodies()[0]


def instructions(text: str) -> bytes:
    """What is between a body's head and its end."""
    body = assembled(text)
    return body[read_body(body).code.position : -1]


WRITTEN = {
    "local.get 2": asm.local_get(2),
    "local.set 2": asm.local_set(2),
    "local.tee 2": asm.local_tee(2),
    "global.get $g": asm.global_get(0),
    "global.set $g": asm.global_set(0),
    "i32.const -65": asm.i32_const(-65),
    "i64.const 0x7fffffffffffffff": asm.i64_const(2**63 - 1),
    "call 0": asm.call(0),
    "call_indirect $t (type $unary)": asm.call_indirect(1),
    "call_indirect $second (type $unary)": asm.call_indirect(1, 1),
    "block (br 0) (br_if 0) end": asm.block(asm.branch(0), asm.branch_if(0)),
    "block (result i64) unreachable end": asm.block(asm.UNREACHABLE, result=bytes([I64])),
    "if return end": asm.if_then(asm.RETURN),
    "drop": asm.DROP,
    "i32.load offset=300": asm.load(I32, 300),
    "i64.load $other offset=300": asm.load(I64, 300, 1),
    "f32.store": asm.store(F32),
    "f64.store $other": asm.store(F64, 0, 1),
    "i64.load8_u offset=7": asm.access(wasm.I64_LOAD8_U, 0, 7),
    "memory.size": asm.memory_size(),
    "memory.grow $other": asm.memory_grow(1),
    "memory.copy $other $m": asm.memory_copy(1, 0),
    "memory.fill": asm.memory_fill(),
    "memory.init $other $d": asm.memory_init(0, 1),
    "i32.trunc_sat_f64_u": asm.op(wasm.I32_TRUNC_SAT_F64_U),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_an_instruction_is_the_reference_assemblers(text: str) -> None:
    assert WRITTEN[text] == instructions(text)


PLAIN = {*wasm.UNARY, *wasm.BINARY, *wasm.TRUNCATE_SATURATED, *wasm.LOADS, *wasm.STORES}


def test_every_name_of_the_table_is_the_text_formats() -> None:
    for opcode in PLAIN:
        text = wasm.NAMES[opcode].lower().replace("_", ".", 1)
        assert instructions(text).startswith(asm.op(opcode)), text


def test_what_is_written_is_read_again() -> None:
    for text, code in WRITTEN.items():
        read = list(read_instructions(Reader(code)))
        assert wasm.NAMES[read[0].opcode].lower() == text.split()[0].replace(".", "_")
    assert len(set(wasm.NAMES.values())) == len(wasm.NAMES)


@pytest.mark.parametrize(
    "wanted", [(wasm.CALL,), (wasm.IF, wasm.BR_IF), tuple(wasm.LOADS), (wasm.F32_CONST, wasm.BR_TABLE), ()]
)
def test_what_is_looked_for_is_found_among_all_others(wanted: tuple[int, ...]) -> None:
    random.seed(1)
    for _ in range(20):
        code = b"\0" + b"".join(random.choices([*WRITTEN.values()], k=300))
        expected, reader = [], Reader(code, 1)
        begin = reader.position
        for opcode, operands in read_instructions(reader):
            expected += [(opcode, operands, begin, reader.position)] if opcode in wanted else []
            begin = reader.position
        assert list(find(Reader(code, 1), wanted)) == expected


def test_an_unknown_instruction_is_none_of_those_that_are_passed_over() -> None:
    with pytest.raises(UnknownInstruction, match="opcode 0x6"):
        list(find(Reader(asm.local_get(0) + b"\x06"), {wasm.CALL}))


def test_a_body_has_locals_and_an_end() -> None:
    body = assembled("local.get 0 drop")
    own = bytes([I32, I32, I32, I64])
    # The reference assembler writes equal locals as one group.
    assert read_body(asm.function_body(own=own)).locals == read_body(body).locals == own
    assert asm.function_body(asm.local_get(0), asm.DROP) == b"\0" + instructions("local.get 0 drop") + asm.END
    assert read_body(asm.with_locals(body, 2) + asm.END).locals == own + bytes([I32, I32])


def test_segments_are_the_reference_assemblers() -> None:
    text = '(data (i32.const 300) "one") (data (memory 1) (i32.const 2) "two") (data "three")'
    text += "(elem (i32.const 3) func 0 0) (elem (table 1) (i32.const 4) func 0)"
    module = Module(
        bytes(wasmtime.wat2wasm(f"(module (memory 1) (memory 1) (table 9 funcref) (table 9 funcref) (func) {text})"))
    )
    data = [asm.data_segment(300, b"one"), asm.data_segment(2, b"two", 1), asm.passive_segment(b"three")]
    assert module.get(DATA) == vector(data)
    assert module.get(ELEMENT) == vector([asm.element_segment(3, [0, 0]), asm.element_segment(4, [0], 1)])
    assert module.encode().startswith(CORE_MODULE)


def added(node: ast.BinOp) -> Iterator[ast.expr]:
    """Yields what a sum is made of."""
    for side in (node.left, node.right):
        yield from added(side) if isinstance(side, ast.BinOp) else [side]


def number(node: ast.expr) -> bool:
    """Tells whether this is a number, or several of them."""
    if isinstance(node, (ast.Tuple, ast.Set, ast.List)):
        return any(map(number, node.elts))
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def raw(source: str) -> Iterator[int]:
    """Yields the lines of a program that look like code for WebAssembly in numbers: bytes next to LEB128, opcodes compared with numbers."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp):
            parts = list(added(node))
            calls = {part.func.id for part in parts if isinstance(part, ast.Call) and isinstance(part.func, ast.Name)}
            written = [part for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, bytes)]
            if calls & {"leb", "sleb"} and any(
                "\\" in (ast.get_source_segment(source, part) or "") for part in written
            ):
                yield node.lineno
        elif isinstance(node, ast.Compare):
            names = {getattr(side, "id", getattr(side, "attr", "")) for side in (node.left, *node.comparators)}
            if "opcode" in names and any(number(side) for side in node.comparators):
                yield node.lineno


def test_raw_code_would_be_seen() -> None:
    assert list(raw('a = b"\\x20" + leb(3)\nif opcode in (0x41, 0x42): pass\nx = asm.local_get(3)\n')) == [1, 2]
    assert not list(raw('a = leb(len(b"\\0")) + b"name"\nif opcode == wasm.CALL: pass\n'))


def test_nobody_writes_raw_code() -> None:
    """By looking only at the ways in which it was written once: no proof."""
    programs = [path for path in Path("toolchain").rglob("*.py") if path.parent.name != "wasm"]
    assert programs
    found = [f"{path}:{line}" for path in programs for line in raw(path.read_text(encoding="utf-8"))]
    assert not found, f"raw code for WebAssembly: {', '.join(found)}; write it with toolchain/wasm/code.py"
