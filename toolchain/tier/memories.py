"""The two memories of a tiered module: its own, as it was, and the tier's, where the interpreter's tables, cold code and frames are.

Nothing of the module knows the tier's memory, so that no stray access reaches it. In a module for a training the tier's things lie behind
the module's own memory instead: a training yields one memory, and that is to tell what ran.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from toolchain.tier.pack import ENTRY, Block, room
from toolchain.tools import ToolchainError
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import expression, i32_const
from toolchain.wasm.format import (
    DATA,
    MEMORY,
    MEMORY_KIND,
    PAGE,
    Module,
    Reader,
    constant,
    leb,
    limits,
    read_limits,
)

STACK_BYTES = 8 << 20
"""The room for the frames of cold functions; as long as it is not used, it takes no memory."""

SLOT = 8
"""The size of a frame's slots in bytes."""

OVERRUN = b"cold tier: the value stack is full"
DAMAGED = b"cold tier: the module's data is damaged"

STATE = struct.Struct("<12IQ")
"""What the interpreter reads first; `State` in interpreter.c."""


class Memories:
    """A module's own memory and the tier's, which is number `tier` of the two."""

    def __init__(self, module: Module, training: bool) -> None:
        if any(i.kind == MEMORY_KIND for i in module.imports()):
            raise ToolchainError("the module imports its memory, which the cold tier does not know how to unpack")
        reader = Reader(module.get(MEMORY))
        self._count = reader.u32()
        self._module = module
        self._before = read_limits(reader) if self._count else 0
        self.tier = 0 if training else self._count
        self.begin = self._before * PAGE if training else 0
        """Where the tier's things begin in the tier's memory."""

    def image(self) -> bytes | None:
        """Returns what the module's memory holds at the start; None where that is open."""
        memory = bytearray(self._before * PAGE)
        reader = Reader(self._module.get(DATA))
        for _ in reader.repeat():
            if reader.u32() or (offset := reader.expression())[0] != wasm.I32_CONST:
                return None
            begin, data = constant(offset), reader.take(reader.u32())
            if offset != expression(i32_const(begin)) or begin < 0 or begin + len(data) > len(memory):
                return None
            memory[begin : begin + len(data)] = data
        return bytes(memory)

    def put(self, pages: int) -> None:
        """Gives the tier's memory so many pages."""
        reader = Reader(self._module.get(MEMORY))
        reader.u32()
        if self.tier == self._count:
            # It never grows.
            self._module.put(MEMORY, leb(self._count + 1) + reader.data[reader.position :] + limits(pages, pages))
            return
        flags, before = reader.u8(), reader.u32()
        own = bytes([flags]) + leb(pages)
        if flags & 1:
            own += leb(reader.u32() + pages - before)
        self._module.put(MEMORY, leb(self._count) + own + reader.data[reader.position :])


class Places:
    """Where in the tier's memory its things lie, in bytes; the blocks `packed` are there from the start."""

    def __init__(self, begin: int, tables: int, packed: Sequence[Block], bodies: Sequence[Block], widest: int) -> None:
        self.at_start = len(packed)
        self.elements = begin
        self.state = begin + tables
        self.overrun = self.state + STATE.size
        self.damaged = self.overrun + len(OVERRUN)
        self.blocks = self.damaged + len(DAMAGED)
        self.blocks += -self.blocks % 4
        self.bodies = self.blocks + ENTRY.size * (self.at_start + len(bodies) + 1)
        self.end = self.bodies + sum(block.size for block in bodies)
        self.room = self.end + -self.end % 16
        self.stack = self.room + room((*packed, *bodies))
        self.stack += -self.stack % 16
        end = self.stack + STACK_BYTES
        # A call's arguments and link, or the locals of a part, may lie beyond the limit; the frame that they grow into may not.
        self.limit = end - 4 * SLOT * (widest + 2)
        self.pages = -(-end // PAGE)
