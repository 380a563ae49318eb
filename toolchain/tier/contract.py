"""What the interpreter, in C, and the toolchain, in Python, must agree on: opcodes, structures and sizes, in one table.

Python reads it here, and `header` makes a C header of it when the interpreter is compiled (`prepare.py`). Nothing of it is written down
a second time: a new opcode or field is a line here, and then code on both sides.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from toolchain.wasm import opcodes as wasm

# ---- opcodes of cold code: its own first, and those of WebAssembly's instructions as they are

UNREACHABLE, COPY, JUMP, JUMP_IF, JUMP_UNLESS, JUMP_TABLE, RETURN, RETURN_VALUE, CALL, CALL_INDIRECT, SELECT = range(11)
CONST8, CONST32, CONST64, GLOBAL_GET, GLOBAL_SET, MEMORY_SIZE, MEMORY_GROW, MEMORY_COPY, MEMORY_FILL = range(11, 20)
MARK, MARKED = range(20, 22)
JUMP_FAR, JUMP_IF_FAR, JUMP_UNLESS_FAR, JUMP_TABLE_FAR = range(0x20, 0x24)
_OWN: dict[str, int] = {name: value for name, value in list(globals().items()) if isinstance(value, int)}

FAR = {JUMP: JUMP_FAR, JUMP_IF: JUMP_IF_FAR, JUMP_UNLESS: JUMP_UNLESS_FAR, JUMP_TABLE: JUMP_TABLE_FAR}
"""By the opcode of a jump, that of the same with a distance of four bytes in narrow code."""

TRUNCATE_SATURATED = 0x18
"""The first of the saturating truncations, which have two bytes in WebAssembly."""

_INTEGERS = [*range(wasm.I32_EQ, wasm.I32_GE_U + 1), *range(wasm.I64_EQ, wasm.I64_GE_U + 1)]
_INTEGERS += [*range(wasm.I32_ADD, wasm.I32_MUL + 1), *range(wasm.I32_AND, wasm.I32_SHR_U + 1)]
_INTEGERS += [*range(wasm.I64_ADD, wasm.I64_MUL + 1), *range(wasm.I64_AND, wasm.I64_SHR_U + 1)]
WITH_CONST8 = {opcode: wasm.I64_EXTEND32_S + 1 + i for i, opcode in enumerate(_INTEGERS)}
"""By the opcode of an operation on integers, the opcode of the same with a number of one byte as second operand."""

OPCODES: Mapping[str, int] = {
    **_OWN,
    **{wasm.NAMES[opcode]: TRUNCATE_SATURATED + i for i, opcode in enumerate(wasm.TRUNCATE_SATURATED)},
    **{wasm.NAMES[opcode]: opcode for opcode in sorted({*wasm.LOADS, *wasm.STORES, *wasm.UNARY, *wasm.BINARY})},
    **{f"{wasm.NAMES[opcode]}_CONST8": instead for opcode, instead in WITH_CONST8.items()},
}
"""All opcodes of cold code by their names in C."""

# ---- numbers

NARROW, WIDE, KEPT = 1, 2, 3  # how a body is written, or that the function is compiled
NONE = 0xFFFF_FFFF  # an element of the table that holds no function
TWO_BYTES, FOUR_BYTES = 254, 255  # a small number in cold code is one byte; these say that a larger one follows
PIECE = 1 << 15  # so much of the segment is looked at in one go for its checksum

# What unpacking needs (inflate.h): the bits that a code's table is looked up by, the lengths of codes, how many symbols and distances.
FAST, LENGTHS, SYMBOLS, DISTANCES = 10, 16, 288, 32
_CODE = 2 * ((1 << FAST) + 2 * LENGTHS + SYMBOLS)
ROOM = 2 * _CODE + SYMBOLS + DISTANCES  # the size of the tables, behind which the packed bytes are put
BEYOND = 8  # so many bytes behind the packed ones may be read

_NUMBERS: tuple[str, ...] = ("NARROW", "WIDE", "KEPT", "NONE", "TWO_BYTES", "FOUR_BYTES", "PIECE")
_NUMBERS += ("FAST", "LENGTHS", "SYMBOLS", "DISTANCES", "ROOM")

# ---- structures

_SIZES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


@dataclass(frozen=True)
class Field:
    """A field of a structure."""

    type: str
    """Its type in C; a pointer is a number of 32 bits."""

    name: str

    meaning: str
    """One phrase, which becomes the comment in C."""


@dataclass(frozen=True)
class Structure:
    """A structure that Python writes and C reads."""

    name: str
    """Its name in C."""

    meaning: str

    fields: tuple[Field, ...]

    rest: str = ""
    """What follows the fields in C, in whatever place: an array without a size."""

    @cached_property
    def form(self) -> struct.Struct:
        """How Python packs it."""
        return struct.Struct("<" + "".join("I" if "*" in f.type else _SIZES[f.type] for f in self.fields))

    def pack(self, **values: int) -> bytes:
        """Returns a structure with these values of its fields, of which none may be missing."""
        if values.keys() != {field.name for field in self.fields}:
            raise TypeError(f"{self.name} has the fields {', '.join(field.name for field in self.fields)}")
        return self.form.pack(*(values[field.name] for field in self.fields))

    def offset(self, name: str) -> int:
        """Returns where a field begins."""
        before = "".join("I" if "*" in f.type else _SIZES[f.type] for f in self.fields[: self._position(name)])
        return struct.calcsize("<" + before)

    def _position(self, name: str) -> int:
        return next(i for i, field in enumerate(self.fields) if field.name == name)

    def definition(self) -> str:
        """Returns the definition in C, with a check that both languages lay it out the same way."""
        lines = [f"// {self.meaning}", f"typedef struct{' __attribute__((packed))' if self.rest else ''} {{"]
        for field in self.fields:
            space = "" if field.type.endswith("*") else " "
            lines.append(f"  {field.type}{space}{field.name}; // {field.meaning}")
        lines += [f"  {self.rest};"] if self.rest else []
        lines += [f"}} {self.name};", f'_Static_assert(sizeof({self.name}) == {self.form.size}, "{self.name}");']
        return "\n".join(lines)


HEAD = Structure(
    "Body",
    "A function. One that is kept compiled has the index of its element in the interpreter's own table for `locals`.",
    (
        Field("u8", "mode", "NARROW, WIDE or KEPT"),
        Field("u16", "type", "the number of its type"),
        Field("u16", "parameters", "how many slots of the frame are parameters"),
        Field("u16", "locals", "how many are parameters and locals"),
        Field("u16", "frame", "how many there are"),
    ),
    rest="u8 code[]",
)

ENTRY = Structure(
    "Block",
    "A stretch of memory that lies in the module's passive segment, compressed if its size there is another (pack.py).",
    (
        Field("u8 *", "to", "in the module's memory for a block of the image, else in the tier's"),
        Field("u32", "size", "in bytes, when it is unpacked"),
        Field("u32", "from", "in the segment; it ends where the next block's begins"),
        Field("u32", "fetched", "not zero once it has been fetched: a training asks for this"),
    ),
)

STATE = Structure(
    "State",
    "What the interpreter is given.",
    (
        Field("u64", "own_checksum", "of the fields that follow (pack.py)"),
        Field("const u32 *", "offsets", "of each function's body"),
        Field(
            "u8 *",
            "bodies",
            "all zero at first: a block of them is put there when one of its functions is first called",
        ),
        Field(
            "Block *",
            "blocks",
            "the image's, then by address those of the tables and the bodies, and one more behind the last",
        ),
        Field("u32", "block_count", "how many, without that one"),
        Field("u32", "image", "how many blocks are of what the module's memory holds at the start"),
        Field("u32", "at_start", "how many are there from the start, image and tables; 0 once they are there"),
        Field("struct room *", "room", "for unpacking"),
        Field("const u64 *", "limit", "of the value stack"),
        Field("const u32 *", "elements", "the function that each element of the module's table holds, or NONE"),
        Field("u32", "element_count", "how many elements the table has"),
        Field("u32", "types", "how many types of functions the module has"),
        Field("u32", "loops", "in the interpreter's own table: of narrow code, of wide code, then `fetch`"),
        Field("u32", "packed", "how many bytes the segment has, in whole words"),
        Field("u32", "unused", "where C puts nothing, so that the next field is aligned"),
        Field("u64", "checksum", "of the texts and blocks behind this structure, and of all that the segment holds"),
    ),
)


def header() -> str:
    """Returns the header for interpreter.c, which defines u8, u16, u32 and u64 before it."""
    numbers = globals()
    parts = ["// Made from contract.py."]
    parts += ["enum {", *(f"  {name} = {value:#x}," for name, value in OPCODES.items()), "};"]
    parts += [f"#define {name} {numbers[name]:#x}{'u' if name == 'NONE' else ''}" for name in _NUMBERS]
    parts += [structure.definition() for structure in (HEAD, ENTRY, STATE)]
    return "\n".join(parts) + "\n"
