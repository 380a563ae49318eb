"""Reads the instructions of a function body: the opcodes that the toolchain knows, and what follows each of them.

The rest (SIMD, exceptions, threads, references, tables) raises `UnknownInstruction`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import Reader

_INDEX = {wasm.BR, wasm.BR_IF, wasm.CALL, *range(wasm.LOCAL_GET, wasm.GLOBAL_SET + 1)}
_INDEX |= {wasm.MEMORY_SIZE, wasm.MEMORY_GROW, wasm.DATA_DROP, wasm.MEMORY_FILL}
_TWO = {wasm.CALL_INDIRECT, wasm.MEMORY_INIT, wasm.MEMORY_COPY}
_SIGNED = {wasm.I32_CONST, wasm.I64_CONST, wasm.BLOCK, wasm.LOOP, wasm.IF}
_ADDRESS = {*wasm.LOADS, *wasm.STORES}
_BARE = {wasm.UNREACHABLE, wasm.NOP, wasm.ELSE, wasm.END, wasm.RETURN, wasm.DROP, wasm.SELECT}
_BARE |= {*wasm.UNARY, *wasm.BINARY, *wasm.TRUNCATE_SATURATED}


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


def read_instructions(reader: Reader) -> Iterator[Instruction]:
    """Yields the instructions of a body or raises `UnknownInstruction`."""
    data = reader.data
    while reader.position < reader.end:
        opcode = data[reader.position]
        reader.position += 1
        if opcode == wasm.PREFIX:
            opcode = 0xFC00 + reader.u32()
        if opcode in _BARE:
            yield Instruction(opcode, ())
        elif opcode in _INDEX:
            yield Instruction(opcode, (reader.u32(),))
        elif opcode in _ADDRESS:
            alignment = reader.u32()
            memory = [reader.u32()] if alignment & wasm.OTHER_MEMORY else []
            yield Instruction(opcode, (alignment, reader.u32(), *memory))
        elif opcode in _TWO:
            yield Instruction(opcode, (reader.u32(), reader.u32()))
        elif opcode in _SIGNED:
            yield Instruction(opcode, (reader.signed(),))
        elif opcode == wasm.F32_CONST:
            yield Instruction(opcode, (int.from_bytes(reader.take(4), "little"),))
        elif opcode == wasm.F64_CONST:
            yield Instruction(opcode, (int.from_bytes(reader.take(8), "little"),))
        elif opcode == wasm.BR_TABLE:
            yield Instruction(opcode, tuple(reader.u32() for _ in range(reader.u32() + 1)))
        elif opcode == wasm.SELECT_TYPED:
            yield Instruction(opcode, tuple(reader.take(reader.u32())))
        else:
            raise UnknownInstruction(f"opcode {opcode:#x}")


# ---- finding a few instructions among many


class Place(NamedTuple):
    """An instruction and where it stands in the data: where it begins, and where the next one does."""

    opcode: int
    operands: tuple[int, ...]
    begin: int
    end: int


def find(reader: Reader, wanted: Collection[int]) -> Iterator[Place]:
    """Yields those of the instructions that have one of these opcodes, or raises `UnknownInstruction`.

    It finds what `read_instructions` reads, in a fraction of the time: a regular expression passes over all others.
    """
    data, others = reader.data, _others(frozenset(wanted))
    while reader.position < reader.end:
        passed = others.match(data, reader.position, reader.end)
        begin = reader.position = passed.end() if passed else reader.position
        if begin < reader.end:
            opcode, operands = next(read_instructions(reader))
            if opcode in wanted:
                yield Place(opcode, operands, begin, reader.position)


_LEB = rb"[\x80-\xff]*[\0-\x7f]"
_MANY = 1000


@functools.lru_cache(maxsize=16)
def _others(wanted: frozenset[int]) -> re.Pattern[bytes]:
    """Returns a pattern of instructions that are none of these: of the usual ones, many at once."""
    kinds = [
        (_BARE, b""),
        (_INDEX | _SIGNED, _LEB),
        # An alignment of one byte, without the bit that says that a memory's index follows.
        (_ADDRESS, rb"[\0-\x3f]" + _LEB),
        ({wasm.F32_CONST}, b".{4}"),
        ({wasm.F64_CONST}, b".{8}"),
    ]
    written = []
    for opcodes, operands in kinds:
        some = b"".join(b"\\x%02x" % opcode for opcode in sorted(opcodes - wanted) if opcode < wasm.PREFIX)
        written += [b"[%s]%s" % (some, operands)] if some else []
    return re.compile(b"(?:%s){1,%d}" % (b"|".join(written), _MANY), re.DOTALL)
