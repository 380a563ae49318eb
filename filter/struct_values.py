"""Reads a serialized google.protobuf.Struct into the values that JSON text gives, in one pass over the bytes.

A value is the object, list, text, number or bool itself. Of all that arrives as a Struct this is the slowest part, so the short
texts of a list are read on the spot.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LONG = 4096
"""From this size on a text is long: it costs no more to read than a short one."""

# The keys of the fields: a number, and in the lowest three bits the wire type.
_FIELD, _ITEM = 0x0A, 0x0A  # of Struct and of ListValue
_NAME, _VALUE = 0x0A, 0x12  # of Struct's entries
_NULL, _NUMBER, _STRING, _BOOL, _STRUCT, _LIST = 0x08, 0x11, 0x1A, 0x20, 0x2A, 0x32  # of Value

_number = struct.Struct("<d").unpack_from
_NUMBER_ITEM = struct.Struct("<3sd")  # of a list: a key and a size, the key of a number, and the number
_NUMBER_HEAD = bytes([_ITEM, 9, _NUMBER])


class StructError(Exception):
    """The bytes are no Struct."""


class DepthError(Exception):
    """It is nested too deep."""


class SizeError(Exception):
    """It has too many bytes besides its long texts."""


class StructReader:
    """Reads one Struct: its objects are made by `pairs`, and the bytes beside long texts have a limit, as has the depth."""

    def __init__(self, data: bytes, pairs: Callable[[list[tuple[str, Any]]], Any], most: int, depth: int) -> None:
        self.data = data
        self.pairs = pairs
        self.most = most  # grows by each long text
        self.depth = depth

    def read(self) -> Any:
        """Returns the object, or raises StructError, DepthError or SizeError."""
        try:
            return self._object(0, len(self.data), self.depth)
        except (UnicodeDecodeError, IndexError, struct.error):
            raise StructError from None

    def _object(self, at: int, end: int, depth: int) -> Any:
        if not depth:
            raise DepthError
        data, fields = self.data, []
        while at < end:
            if data[at] != _FIELD:
                raise StructError
            entry, at = self._span(at + 1, end)
            if data[entry] != _NAME:
                raise StructError
            name, name_end = self._span(entry + 1, at)
            if name_end >= at or data[name_end] != _VALUE:
                raise StructError
            value, value_end = self._span(name_end + 1, at)
            if value_end != at:
                raise StructError
            fields.append((data[name:name_end].decode(), self._value(value, at, depth - 1)))
        return self.pairs(fields)

    def _list(self, at: int, end: int, depth: int) -> list[Any]:
        if not depth:
            raise DepthError
        data, items = self.data, []
        if (end - at) % _NUMBER_ITEM.size == 0 and data[at + 2 : at + 3] == _NUMBER_HEAD[2:]:
            numbers = list(_NUMBER_ITEM.iter_unpack(data[at:end]))
            if {head for head, _ in numbers} == {_NUMBER_HEAD}:
                return [number for _, number in numbers]
        while at < end:
            if data[at] != _ITEM:
                raise StructError
            size = data[at + 1]
            if 2 < size < 0x80 and data[at + 2] == _STRING and data[at + 3] == size - 2:
                start, at = at + 4, at + 2 + size
                items.append(data[start:at].decode())
            elif size == 9 and data[at + 2] == _NUMBER:
                items.append(_number(data, at + 3)[0])
                at += _NUMBER_ITEM.size
            else:
                start, at = self._span(at + 1, end)
                items.append(self._value(start, at, depth - 1))
            if at > self.most:
                raise SizeError
        if at != end:
            raise StructError
        return items

    def _value(self, at: int, end: int, depth: int) -> Any:
        data = self.data
        if at >= end:
            raise StructError
        if at > self.most:
            raise SizeError
        kind = data[at]
        if kind == _NUMBER:
            if end - at != 9:
                raise StructError
            return _number(data, at + 1)[0]
        if kind in (_BOOL, _NULL):
            number, stop = self._varint(at + 1, end)
            if stop != end:
                raise StructError
            return number != 0 if kind == _BOOL else None
        start, stop = self._span(at + 1, end)
        if kind == _STRING:
            if stop - start >= LONG:
                self.most += stop - start
            value: Any = data[start:stop].decode()
        elif kind == _STRUCT:
            value = self._object(start, stop, depth)
        elif kind == _LIST:
            value = self._list(start, stop, depth)
        else:
            raise StructError
        if stop != end:
            raise StructError
        return value

    def _span(self, at: int, end: int) -> tuple[int, int]:
        """Returns where a text or a message begins and ends; its size stands at this place."""
        size = self.data[at]
        if size < 0x80:
            at += 1
        else:
            size, at = self._varint(at, end)
        if at + size > end:
            raise StructError
        return at, at + size

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        """Returns a number, seven bits a byte and the lowest first, and where it ends."""
        number = 0
        for shift in range(0, 70, 7):
            if at >= end:
                break
            byte = self.data[at]
            number |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                return number, at
        raise StructError
