"""The docstrings of what is written in C become zero, as those of the standard library are stripped: in a proxy nobody reads them.

What CPython finds before a docstring's marker is the signature, which stays; and so do docstrings that have none.
"""

from __future__ import annotations

import bisect
import re

from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import Module
from toolchain.wasm.instructions import read_body, read_instructions

_MARKED = re.compile(rb"(?<=\n--\n\n)[^\0]+")


def pointers(library: Module) -> list[int]:
    """Returns in order all numbers of a library's code that may be an offset from its memory base, those in relocations too."""
    found = set()
    for body in library.bodies():
        for opcode, operands in read_instructions(read_body(body).code):
            if opcode == wasm.I32_CONST or opcode in wasm.LOADS or opcode in wasm.STORES:
                found.add(operands[-1])
    return sorted(found)


def clear(data: bytes, offset: int, pointers: list[int]) -> bytes:
    """Returns a data segment without docstrings; it lies at this offset, and these are the library's pointers.

    The linker lets a string end in another one, such as `False` in a sentence: what something else points to stays.
    """
    cleared = bytearray(data)
    for text in _MARKED.finditer(data):
        start, end = text.span()
        place = bisect.bisect_right(pointers, offset + start)
        if place < len(pointers):
            end = min(end, pointers[place] - offset)
        cleared[start:end] = bytes(end - start)
    return bytes(cleared)
