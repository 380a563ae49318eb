"""`google.protobuf.Struct` as Python values: Envoy gives a plugin such a configuration in protobuf's bytes."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_VARINT, _FIXED64, _LENGTH = 0, 1, 2
_KEY, _VALUE = 1, 2
_NULL, _NUMBER, _STRING, _BOOL, _STRUCT, _LIST = range(1, 7)


def read_struct(data: bytes) -> dict[str, Any]:
    """Returns a Struct's values, whole numbers as int; ValueError, UnicodeDecodeError or IndexError: these bytes are none.

    JSON text is none: each of a Struct's values begins with a byte that JSON has nowhere.
    """
    values: dict[str, Any] = {}
    for field, entry in _fields(data):
        if field != _KEY or not isinstance(entry, bytes):
            raise ValueError("no Struct")
        parts = dict(_fields(entry))
        key, value = parts.get(_KEY, b""), parts.get(_VALUE)
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            raise ValueError("no entry of a Struct")
        values[key.decode()] = _value(value)
    return values


def _value(data: bytes) -> Any:
    found: Any = None
    for field, value in _fields(data):
        if field == _NUMBER and isinstance(value, float):
            found = int(value) if value.is_integer() else value
        elif field == _BOOL and isinstance(value, int):
            found = value != 0
        elif field == _STRING and isinstance(value, bytes):
            found = value.decode()
        elif field == _STRUCT and isinstance(value, bytes):
            found = read_struct(value)
        elif field == _LIST and isinstance(value, bytes):
            found = [_value(item) for _, item in _fields(value) if isinstance(item, bytes)]
        elif field != _NULL:
            raise ValueError("no Value")
    return found


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
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
        if key & 7 == _VARINT:
            yield key >> 3, varint()
            continue
        size = 8 if key & 7 == _FIXED64 else varint() if key & 7 == _LENGTH else -1
        part = data[at : at + size]
        if size < 0 or len(part) != size:
            raise ValueError("no message")
        at += size
        yield key >> 3, struct.unpack("<d", part)[0] if key & 7 == _FIXED64 else part
