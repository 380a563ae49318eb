"""Writes WebAssembly with names: each function returns the bytes of one instruction, or of something that is made of instructions.

    function_body(block(local_get(0), branch_if(0), UNREACHABLE), call(7), own=bytes([I32]))

Code is concatenated with `+`, or given as several arguments. Nothing outside of this package writes an opcode as a number. What has no
operand in the code is a constant here, if it is used often, and else `op(opcodes.I32_CLZ)`.
"""

from __future__ import annotations

from collections.abc import Iterable

from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import F32, F64, I32, I64, Reader, leb, sized, sleb, vector
from toolchain.wasm.instructions import read_body

_LOAD = {I32: wasm.I32_LOAD, I64: wasm.I64_LOAD, F32: wasm.F32_LOAD, F64: wasm.F64_LOAD}
_STORE = {I32: wasm.I32_STORE, I64: wasm.I64_STORE, F32: wasm.F32_STORE, F64: wasm.F64_STORE}
_ALIGNMENT = {I32: 2, I64: 3, F32: 2, F64: 3}  # a power of two
_NO_RESULT = b"\x40"


def op(opcode: int) -> bytes:
    """Encodes an opcode without what follows it."""
    return bytes([opcode]) if opcode <= wasm.PREFIX else bytes([wasm.PREFIX]) + leb(opcode - 0xFC00)


UNREACHABLE, RETURN, DROP, END = op(wasm.UNREACHABLE), op(wasm.RETURN), op(wasm.DROP), op(wasm.END)
I32_EQZ, I32_EQ, I32_LT_U = op(wasm.I32_EQZ), op(wasm.I32_EQ), op(wasm.I32_LT_U)
I32_ADD, I32_SUB, I32_SHL = op(wasm.I32_ADD), op(wasm.I32_SUB), op(wasm.I32_SHL)


# ---- variables and numbers


def local_get(local: int) -> bytes:
    """Encodes `local.get`."""
    return op(wasm.LOCAL_GET) + leb(local)


def local_set(local: int) -> bytes:
    """Encodes `local.set`."""
    return op(wasm.LOCAL_SET) + leb(local)


def local_tee(local: int) -> bytes:
    """Encodes `local.tee`."""
    return op(wasm.LOCAL_TEE) + leb(local)


def global_get(index: int) -> bytes:
    """Encodes `global.get`."""
    return op(wasm.GLOBAL_GET) + leb(index)


def global_set(index: int) -> bytes:
    """Encodes `global.set`."""
    return op(wasm.GLOBAL_SET) + leb(index)


def i32_const(number: int) -> bytes:
    """Encodes `i32.const`; the number is signed."""
    return op(wasm.I32_CONST) + sleb(number)


def i64_const(number: int) -> bytes:
    """Encodes `i64.const`; the number is signed."""
    return op(wasm.I64_CONST) + sleb(number)


# ---- control


def call(function: int) -> bytes:
    """Encodes `call`."""
    return op(wasm.CALL) + leb(function)


def call_indirect(type_index: int, table: int = 0) -> bytes:
    """Encodes `call_indirect`."""
    return op(wasm.CALL_INDIRECT) + leb(type_index) + leb(table)


def branch(depth: int) -> bytes:
    """Encodes `br`."""
    return op(wasm.BR) + leb(depth)


def branch_if(depth: int) -> bytes:
    """Encodes `br_if`."""
    return op(wasm.BR_IF) + leb(depth)


def block(*code: bytes, result: bytes = b"") -> bytes:
    """Encodes a `block` around code; its result is one value type, or nothing."""
    return op(wasm.BLOCK) + (result or _NO_RESULT) + b"".join(code) + END


def if_then(*code: bytes) -> bytes:
    """Encodes an `if` without `else` and without a result."""
    return op(wasm.IF) + _NO_RESULT + b"".join(code) + END


# ---- memories


def access(opcode: int, alignment: int, offset: int, memory: int = 0) -> bytes:
    """Encodes any load or store."""
    if memory == 0:
        return op(opcode) + leb(alignment) + leb(offset)
    return op(opcode) + leb(alignment | wasm.OTHER_MEMORY) + leb(memory) + leb(offset)


def load(kind: int, offset: int = 0, memory: int = 0) -> bytes:
    """Encodes an aligned load of a whole number of this type."""
    return access(_LOAD[kind], _ALIGNMENT[kind], offset, memory)


def store(kind: int, offset: int = 0, memory: int = 0) -> bytes:
    """Encodes an aligned store of a whole number of this type."""
    return access(_STORE[kind], _ALIGNMENT[kind], offset, memory)


def memory_size(memory: int = 0) -> bytes:
    """Encodes `memory.size`."""
    return op(wasm.MEMORY_SIZE) + leb(memory)


def memory_grow(memory: int = 0) -> bytes:
    """Encodes `memory.grow`."""
    return op(wasm.MEMORY_GROW) + leb(memory)


def memory_copy(to: int = 0, source: int = 0) -> bytes:
    """Encodes `memory.copy` from one memory to another."""
    return op(wasm.MEMORY_COPY) + leb(to) + leb(source)


def memory_fill(memory: int = 0) -> bytes:
    """Encodes `memory.fill`."""
    return op(wasm.MEMORY_FILL) + leb(memory)


def memory_init(segment: int, memory: int = 0) -> bytes:
    """Encodes `memory.init`."""
    return op(wasm.MEMORY_INIT) + leb(segment) + leb(memory)


# ---- what is made of instructions


def expression(*code: bytes) -> bytes:
    """Encodes a constant expression."""
    return b"".join(code) + END


def function_body(*code: bytes, own: bytes = b"") -> bytes:
    """Encodes a function's body, without its size; `own` has the types of its own locals."""
    return vector(b"\1" + bytes([kind]) for kind in own) + b"".join(code) + END


def with_locals(data: bytes, count: int) -> bytes:
    """Returns a body's head with this many locals more, numbers of 32 bits, behind its own."""
    groups = Reader(data)
    return leb(groups.u32() + 1) + data[groups.position : read_body(data).code.position] + leb(count) + bytes([I32])


def data_segment(address: int, data: bytes, memory: int = 0) -> bytes:
    """Encodes a data segment that a memory holds from the start."""
    where = b"\2" + leb(memory) if memory else b"\0"
    return where + expression(i32_const(address)) + sized(data)


def passive_segment(data: bytes) -> bytes:
    """Encodes a data segment that only `memory.init` puts anywhere."""
    return b"\1" + sized(data)


def element_segment(first: int, functions: Iterable[int], table: int = 0) -> bytes:
    """Encodes a segment that puts functions into a table, from the element `first` on."""
    where = expression(i32_const(first))
    indices = vector(map(leb, functions))
    return b"\2" + leb(table) + where + b"\0" + indices if table else b"\0" + where + indices
