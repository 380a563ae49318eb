"""The translation of a module: the cold code of all its functions, made once for a runtime and kept in a file (`runtime.cold`)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.wasm.format import CODE, FUNCTION, IMPORT, TYPE, FormatError, Module, Reader, leb, text, vector


class Part(NamedTuple):
    """A part of a function that is not small, from a mark to the end of the block around it, where no operand is on the stack."""

    mark: int  # where the mark stands in the cold code, head included: the interpreter can begin there
    begin: int  # where the part begins in the body
    end: int
    depth: int  # how many blocks are open around it


@dataclass(frozen=True)
class Translation:
    """The cold code of a module's functions by index, the parts of those that are not small, and why others must stay compiled."""

    digest: bytes
    bodies: dict[int, bytes]
    parts: Mapping[int, list[Part]]
    unknown: dict[int, str]
    stack_pointer: int | None
    """The global that points into the shadow stack, if the module says which (stackguard.py)."""

    def encode(self) -> bytes:
        """Returns the bytes of a file that holds the translation."""
        bodies = vector(leb(index) + leb(len(code)) + code for index, code in self.bodies.items())
        parts = vector(
            leb(index) + vector(b"".join(map(leb, part)) for part in parts) for index, parts in self.parts.items()
        )
        unknown = vector(leb(index) + text(why) for index, why in self.unknown.items())
        pointer = vector(leb(index) for index in (self.stack_pointer,) if index is not None)
        return self.digest + bodies + parts + unknown + pointer


def digest(module: Module) -> bytes:
    """Returns what tells translations apart: a digest of all that they are made from."""
    # Not the globals: a snapshot changes their values, never their types.
    sections = (module.get(i) for i in (TYPE, IMPORT, FUNCTION, CODE))
    return hashlib.sha256(b"".join(leb(len(body)) + body for body in sections)).digest()


_NUMBERS = {size: re.compile(rb"(?:[\x80-\xff]*[\0-\x7f]){%d}" % size) for size in (4096, 64, 1)}
"""So many numbers in LEB128."""


def _skip(reader: Reader, count: int) -> None:
    """Passes over so many numbers."""
    for size, numbers in _NUMBERS.items():
        while count >= size and (found := numbers.match(reader.data, reader.position)):
            reader.position = found.end()
            count -= size
    if count:
        raise FormatError("the translation ends within its parts")


class _Parts(Mapping[int, list[Part]]):
    """The parts of functions. There are a hundred thousand, and a build asks for a few functions': only those are read."""

    def __init__(self, reader: Reader) -> None:
        self._data = reader.data
        self._begin: dict[int, tuple[int, int]] = {}
        for _ in reader.repeat():
            function, count = reader.u32(), reader.u32()
            self._begin[function] = reader.position, count
            _skip(reader, count * len(Part._fields))

    def __getitem__(self, function: int) -> list[Part]:
        position, count = self._begin[function]
        reader = Reader(self._data, position)
        return [Part(*(reader.u32() for _ in Part._fields)) for _ in range(count)]

    def __iter__(self) -> Iterator[int]:
        return iter(self._begin)

    def __len__(self) -> int:
        return len(self._begin)


def read_translation(data: bytes) -> Translation:
    """Returns what `Translation.encode` wrote."""
    reader = Reader(data)
    made_from = reader.take(hashlib.sha256().digest_size)
    bodies = {reader.u32(): reader.take(reader.u32()) for _ in reader.repeat()}
    parts = _Parts(reader)
    unknown = {reader.u32(): reader.name() for _ in reader.repeat()}
    return Translation(made_from, bodies, parts, unknown, next((reader.u32() for _ in reader.repeat()), None))
