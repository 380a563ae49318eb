"""The translation of a module: the cold code of all its functions, made once for a runtime and kept in a file (`runtime.cold`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.wasm.format import CODE, FUNCTION, IMPORT, TYPE, Module, Reader, leb, text, vector


class Part(NamedTuple):
    """A part of a large function, from a mark to the end of the block around it, where no operand is on the stack."""

    mark: int  # where the mark stands in the cold code, head included: the interpreter can begin there
    begin: int  # where the part begins in the body
    end: int
    depth: int  # how many blocks are open around it


@dataclass(frozen=True)
class Translation:
    """The cold code of a module's functions by index, the parts of the large ones, and why others must stay compiled."""

    digest: bytes
    bodies: dict[int, bytes]
    parts: dict[int, list[Part]]
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


def read_translation(data: bytes) -> Translation:
    """Returns what `Translation.encode` wrote."""
    reader = Reader(data)
    made_from = reader.take(hashlib.sha256().digest_size)
    bodies = {reader.u32(): reader.take(reader.u32()) for _ in reader.repeat()}
    parts = {
        reader.u32(): [Part(*(reader.u32() for _ in Part._fields)) for _ in reader.repeat()] for _ in reader.repeat()
    }
    unknown = {reader.u32(): reader.name() for _ in reader.repeat()}
    return Translation(made_from, bodies, parts, unknown, next((reader.u32() for _ in reader.repeat()), None))
