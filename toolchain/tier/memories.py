"""The two memories of a tiered module: its own, as it was, and the tier's, where the interpreter's tables, cold code and frames are.

Nothing of the module knows the tier's memory, so that no stray access reaches it. In a module for a training the tier's things lie behind
the module's own memory instead: a training yields one memory, and that is to tell what ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolchain.tier.contract import ENTRY, STATE
from toolchain.tier.pack import Block, room
from toolchain.tools import ToolchainError
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import DATA, MEMORY, MEMORY_KIND, PAGE, Module, Reader, leb, limits, read_limits

STACK_BYTES = 8 << 20
"""The room for the frames of cold functions; as long as it is not used, it takes no memory."""

SLOT = 8
"""The size of a frame's slots in bytes."""

OVERRUN = b"cold tier: the value stack is full"
DAMAGED = b"cold tier: the module's data is damaged"


@dataclass(frozen=True)
class Memories:
    """A module's own memory and the tier's."""

    count: int
    """How many memories the module has itself."""

    pages: int
    """How large the first of them is at the start."""

    tier: int
    """The index of the tier's memory; the module's own has 0."""

    begin: int
    """Where in the tier's memory the tier's things begin, in bytes."""


def survey(module: Module, training: bool) -> Memories:
    """Returns a module's memories; raises `ToolchainError` if it imports one."""
    if any(i.kind == MEMORY_KIND for i in module.imports()):
        raise ToolchainError("the module imports its memory, which the cold tier does not know how to unpack")
    reader = Reader(module.get(MEMORY))
    count = reader.u32()
    pages = read_limits(reader) if count else 0
    return Memories(count, pages, 0, pages * PAGE) if training else Memories(count, pages, count, 0)


def image(module: Module, memories: Memories) -> bytes | None:
    """Returns what the module's memory holds at the start; None where that is open."""
    memory = bytearray(memories.pages * PAGE)
    reader = Reader(module.get(DATA))
    for _ in reader.repeat():
        if reader.u32() or reader.u8() != wasm.I32_CONST:
            return None
        begin = reader.signed()
        if reader.u8() != wasm.END:
            return None
        data = reader.take(reader.u32())
        if begin < 0 or begin + len(data) > len(memory):
            return None
        memory[begin : begin + len(data)] = data
    return bytes(memory)


def put(module: Module, memories: Memories, pages: int) -> None:
    """Gives the tier's memory so many pages."""
    reader = Reader(module.get(MEMORY))
    reader.u32()
    if memories.tier == memories.count:
        # It never grows.
        module.put(MEMORY, leb(memories.count + 1) + reader.data[reader.position :] + limits(pages, pages))
        return
    flags, before = reader.u8(), reader.u32()
    larger = bytes([flags]) + leb(pages)
    if flags & 1:
        larger += leb(reader.u32() + pages - before)
    module.put(MEMORY, leb(memories.count) + larger + reader.data[reader.position :])


@dataclass(frozen=True)
class Places:
    """Where in the tier's memory its things lie, in bytes: from the lowest address to the highest."""

    elements: int
    """The function of each element of the module's table; behind it, where each body begins in `bodies`."""

    state: int
    """What the interpreter reads first (`contract.STATE`)."""

    overrun: int
    """The text that is logged when the value stack is full."""

    damaged: int
    """The text that is logged when the module's data is damaged."""

    blocks: int
    """The table of blocks (`contract.ENTRY`), of which the first `at_start` are unpacked at the start."""

    bodies: int
    """The bodies of cold functions."""

    end: int
    """The end of the bodies."""

    room: int
    """Where a block is unpacked."""

    stack: int
    """The value stack."""

    limit: int
    """The highest address at which a frame may end."""

    pages: int
    """The size of the whole memory."""

    at_start: int
    """How many blocks are unpacked at the start, before any is asked for."""


def place(begin: int, tables: int, packed: Sequence[Block], bodies: Sequence[Block], widest: int) -> Places:
    """Returns the map of the tier's memory.

    Args: where it begins; the size of elements and offsets; the blocks that are unpacked at the start; those of bodies; the most slots
    that compiled code ever puts into a frame.
    """
    state = begin + tables
    overrun = state + STATE.form.size
    damaged = overrun + len(OVERRUN)
    blocks = _aligned(damaged + len(DAMAGED), 4)
    first = blocks + ENTRY.form.size * (len(packed) + len(bodies) + 1)
    end = first + sum(block.size for block in bodies)
    unpacking = _aligned(end, 16)
    stack = _aligned(unpacking + room((*packed, *bodies)), 16)
    top = stack + STACK_BYTES
    # A call's arguments and link, or the locals of a part, may lie beyond the limit; the frame that they grow into may not.
    limit = top - 4 * SLOT * (widest + 2)
    return Places(
        elements=begin,
        state=state,
        overrun=overrun,
        damaged=damaged,
        blocks=blocks,
        bodies=first,
        end=end,
        room=unpacking,
        stack=stack,
        limit=limit,
        pages=-(-top // PAGE),
        at_start=len(packed),
    )


def _aligned(address: int, alignment: int) -> int:
    return address + -address % alignment
