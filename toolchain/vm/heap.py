"""The memory that nobody uses at rest: the heap's free chunks, as dlmalloc keeps them, and the stack below its pointer.

What was once written there would be bytes of the module and pages of every VM; here it becomes zero, as it is before first use.
"""

from __future__ import annotations

from toolchain.cpython.heap import CHUNK
from toolchain.tools import ToolchainError


def clear_free_chunks(memory: bytearray, heap: int) -> None:
    """Zeroes what is free in the heap that goes from this address, a page's, to the end of memory."""
    chunk = heap + CHUNK.header
    while chunk < len(memory):
        head = int.from_bytes(memory[chunk + 4 : chunk + 8], "little")
        size = head & CHUNK.size
        if size < CHUNK.least or chunk + size > len(memory):
            raise ToolchainError(f"the heap is not laid out as dlmalloc's: a chunk of {size} bytes at {chunk:#x}")
        if not head & CHUNK.in_use:
            start = chunk + CHUNK.header + (CHUNK.large_links if size >= CHUNK.large else CHUNK.links)
            memory[start : chunk + size] = bytes(chunk + size - start)
        chunk += size
