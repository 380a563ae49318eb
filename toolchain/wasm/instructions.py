"""Reads the instructions of a function body: the opcodes that the toolchain knows, and what follows each of them.

The rest (SIMD, exceptions, threads, references, tables) raises `UnknownInstruction`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from toolchain.wasm.format import I32, Reader, leb

UNREACHABLE, NOP, BLOCK, LOOP, IF, ELSE = range(6)
END, BR, BR_IF, BR_TABLE, RETURN, CALL, CALL_INDIRECT = range(0x0B, 0x12)
DROP, SELECT, SELECT_TYPED = range(0x1A, 0x1D)
LOCAL_GET, LOCAL_SET, LOCAL_TEE, GLOBAL_GET, GLOBAL_SET = range(0x20, 0x25)
LOADS, STORES = range(0x28, 0x36), range(0x36, 0x3F)
MEMORY_SIZE, MEMORY_GROW, I32_CONST, I64_CONST, F32_CONST, F64_CONST = range(0x3F, 0x45)
I32_EQZ, I64_EQZ = 0x45, 0x50
UNARY = {I32_EQZ, I64_EQZ, *range(0x67, 0x6A), *range(0x79, 0x7C), *range(0x8B, 0x92), *range(0x99, 0xA0)}
UNARY |= set(range(0xA7, 0xC5))
BINARY = set(range(0x46, 0xC5)) - UNARY
PREFIX = 0xFC  # a second number follows; here such an opcode is 0xFC00 plus that number
TRUNCATE_SATURATED = range(0xFC00, 0xFC08)
MEMORY_INIT, DATA_DROP, MEMORY_COPY, MEMORY_FILL = range(0xFC08, 0xFC0C)

_INDEX = {BR, BR_IF, CALL, *range(LOCAL_GET, GLOBAL_SET + 1), MEMORY_SIZE, MEMORY_GROW, DATA_DROP, MEMORY_FILL}
_TWO = {CALL_INDIRECT, MEMORY_INIT, MEMORY_COPY}
_ADDRESS = {*LOADS, *STORES}
OTHER_MEMORY = 0x40
"""This bit of a load's or store's alignment says that a memory's index follows; without it, it is the first memory's."""
_BARE = {UNREACHABLE, NOP, ELSE, END, RETURN, DROP, SELECT, *UNARY, *BINARY, *TRUNCATE_SATURATED}


class UnknownInstruction(Exception):
    """The toolchain does not know an instruction, or a form of it; the text says which."""


class Instruction(NamedTuple):
    """An opcode and the numbers that follow it; a block's type is one number, negative where it is no type's index.

    Those of a load or store are alignment and offset, and the memory's index if it has one.
    """

    opcode: int
    operands: tuple[int, ...]


class Body(NamedTuple):
    """A function's body: the types of its own locals, and its instructions."""

    locals: bytes
    code: Reader


def read_body(data: bytes) -> Body:
    """Reads a body's head; `read_instructions` reads on."""
    reader = Reader(data)
    own = bytearray()
    for _ in reader.repeat():
        count = reader.u32()
        if len(own) + count > 50_000:  # engines take no more either
            raise UnknownInstruction("more locals than any engine takes")
        own += reader.take(1) * count
    return Body(bytes(own), reader)


def with_locals(data: bytes, count: int) -> bytes:
    """Returns a body's head with this many locals more, numbers of 32 bits, behind its own."""
    groups = Reader(data)
    return leb(groups.u32() + 1) + data[groups.position : read_body(data).code.position] + leb(count) + bytes([I32])


def read_instructions(reader: Reader) -> Iterator[Instruction]:
    """Yields the instructions of a body or raises `UnknownInstruction`."""
    data = reader.data
    while reader.position < reader.end:
        opcode = data[reader.position]
        reader.position += 1
        if opcode == PREFIX:
            opcode = 0xFC00 + reader.u32()
        if opcode in _BARE:
            yield Instruction(opcode, ())
        elif opcode in _INDEX:
            yield Instruction(opcode, (reader.u32(),))
        elif opcode in _ADDRESS:
            alignment = reader.u32()
            memory = [reader.u32()] if alignment & OTHER_MEMORY else []
            yield Instruction(opcode, (alignment, reader.u32(), *memory))
        elif opcode in _TWO:
            yield Instruction(opcode, (reader.u32(), reader.u32()))
        elif opcode in (I32_CONST, I64_CONST, BLOCK, LOOP, IF):
            yield Instruction(opcode, (reader.signed(),))
        elif opcode == F32_CONST:
            yield Instruction(opcode, (int.from_bytes(reader.take(4), "little"),))
        elif opcode == F64_CONST:
            yield Instruction(opcode, (int.from_bytes(reader.take(8), "little"),))
        elif opcode == BR_TABLE:
            yield Instruction(opcode, tuple(reader.u32() for _ in range(reader.u32() + 1)))
        elif opcode == SELECT_TYPED:
            yield Instruction(opcode, tuple(reader.take(reader.u32())))
        else:
            raise UnknownInstruction(f"opcode {opcode:#x}")
