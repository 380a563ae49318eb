"""How libc's allocator, dlmalloc, keeps its heap."""

from __future__ import annotations

from typing import NamedTuple


class Chunk(NamedTuple):
    """How libc's allocator, dlmalloc, keeps a chunk of the heap: sizes in bytes.

    A chunk begins with its neighbour's word and a word of its size, whose low bits say whether the neighbour (1) and itself (2) is in
    use. A free one goes on with its links: two words, six in a large one.
    """

    header: int = 8
    in_use: int = 2
    size: int = ~7
    least: int = 16
    large: int = 256
    links: int = 8
    large_links: int = 24


CHUNK = Chunk()
