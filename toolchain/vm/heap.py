"""The memory that nobody uses at rest: the heap's free chunks, as dlmalloc keeps them, and the stack below its pointer.

What was once written there would be bytes of the module and pages of every VM; here it becomes zero, as it is before first use.
"""

from __future__ import annotations

from toolchain.tools import ToolchainError

# A chunk begins with its neighbour's word and a word of its size, whose low bits say whether the neighbour (1) and itself (2) is
# in use. A free one goes on with its links: two words, six from this size on.
_HEADER = 8
_IN_USE = 2
_SIZE = ~7
_LEAST, _LARGE = 16, 256
_LINKS, _LARGE_LINKS = 8, 24


def clear_free_chunks(memory: bytearray, heap: int) -> None:
    """Zeroes what is free in the heap that goes from this address, a page's, to the end of memory."""
    chunk = heap + _HEADER
    while chunk < len(memory):
        head = int.from_bytes(memory[chunk + 4 : chunk + 8], "little")
        size = head & _SIZE
        if size < _LEAST or chunk + size > len(memory):
            raise ToolchainError(f"the heap is not laid out as dlmalloc's: a chunk of {size} bytes at {chunk:#x}")
        if not head & _IN_USE:
            start = chunk + _HEADER + (_LARGE_LINKS if size >= _LARGE else _LINKS)
            memory[start : chunk + size] = bytes(chunk + size - start)
        chunk += size
