"""Reads protobuf's bytes field by field."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED64, LENGTH = 0, 1, 2
"""A field's wire type: the low three bits of its key, above which is its number."""


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields a message's keys and values: a number, or bytes; ValueError or IndexError: these bytes are none."""
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(data):
        key = varint()
        if key & 7 == VARINT:
            yield key, varint()
            continue
        size = 8 if key & 7 == FIXED64 else varint() if key & 7 == LENGTH else -1
        part = data[at : at + size]
        if size < 0 or len(part) != size:
            raise ValueError("no message")
        at += size
        yield key, part
