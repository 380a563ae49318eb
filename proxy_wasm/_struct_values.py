"""`google.protobuf.Struct` as Python values: Envoy gives a plugin such a configuration in protobuf's bytes."""

from __future__ import annotations

import struct

from proxy_wasm._protobuf import FIXED64, LENGTH, VARINT, fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ENTRY = _KEY = 1 << 3 | LENGTH
_VALUE = 2 << 3 | LENGTH
_NULL, _BOOL = (number << 3 | VARINT for number in (1, 4))
_NUMBER = 2 << 3 | FIXED64
_STRING, _STRUCT, _LIST = (number << 3 | LENGTH for number in (3, 5, 6))


def read_struct(data: bytes) -> dict[str, Any]:
    """Returns a Struct's values, whole numbers as int; ValueError, UnicodeDecodeError or IndexError: these bytes are none.

    JSON text is none: each of a Struct's values begins with a byte that JSON has nowhere.
    """
    values: dict[str, Any] = {}
    for key, entry in fields(data):
        if key != _ENTRY:
            raise ValueError("no Struct")
        parts: dict[int, Any] = dict(fields(entry))  # type: ignore[arg-type]
        if _VALUE not in parts:
            raise ValueError("no entry of a Struct")
        values[parts.get(_KEY, b"").decode()] = _value(parts[_VALUE])
    return values


def _value(data: bytes) -> Any:
    found: Any = None
    value: Any
    for key, value in fields(data):
        if key == _NUMBER:
            (number,) = struct.unpack("<d", value)
            found = int(number) if number.is_integer() else number
        elif key == _BOOL:
            found = value != 0
        elif key == _STRING:
            found = value.decode()
        elif key == _STRUCT:
            found = read_struct(value)
        elif key == _LIST:
            found = [_value(item) for item_key, item in fields(value) if item_key == _ENTRY]  # type: ignore[arg-type]
        elif key != _NULL:
            raise ValueError("no Value")
    return found
