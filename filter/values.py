"""Reads JSON values in the two forms in which Envoy hands a configuration over: as JSON text, and as a serialized Struct.

What Envoy's configuration gives as a google.protobuf.StringValue arrives as that text; a google.protobuf.Struct arrives
in protobuf's wire format. The text is read by CPython's own scanner, without the package `json` around it, which would
load `re` and others into every VM; a Struct has six kinds of values, and protobuf's runtime weighs megabytes.
"""

from __future__ import annotations

import _json
import struct

from filter import slips

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, TypeAlias

    Value: TypeAlias = "bool | int | float | str | list[Value] | Object | None"

MAX_BYTES = 1 << 18
MAX_DEPTH = 16  # the configuration's schema needs five; whatever reads values recurses as deep

_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class ReadError(ValueError):
    """The bytes are no object of JSON values, or too many; the text says why."""


class Object(tuple[tuple[str, "Value"], ...]):
    """A JSON object's names and values, in order, a name as often as it was given."""

    __slots__ = ()


def is_struct(data: bytes) -> bool:
    """Tells a serialized Struct from JSON text: its first byte is a field's key, and the second key is in no text."""
    return data.startswith(b"\n") and b"\x12" in data


def read_object(data: bytes) -> Object:
    """Returns the object in a JSON text or a serialized Struct, or raises ReadError, never anything else."""
    if len(data) > MAX_BYTES:
        raise ReadError(f"has {len(data)} bytes; at most {MAX_BYTES} are read")
    return _read_struct(data, MAX_DEPTH) if is_struct(data) else _read_json(data)


# ---- JSON text


def _no_number(text: str) -> NoReturn:
    raise ReadError(f"{text} is no JSON")


def _object(pairs: list[tuple[str, Value]]) -> Object:
    if len(dict(pairs)) < len(pairs):
        raise ReadError("a name is given twice")
    return Object(pairs)


class _Scanning:
    """How the scanner reads: by JSON's own rules, and objects so that nothing of them is lost."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_object)
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_no_number)


_scan = _json.make_scanner(_Scanning)  # type: ignore[arg-type]  # typeshed wants what make_scanner returns


def read_number(text: str) -> int | float | None:
    """Returns the number that a text is, written exactly as in JSON; None for any other text."""
    try:
        value, end = _scan(text, 0)
    except Exception:
        return None
    return value if end == len(text) and text[0] in "-0123456789" else None


def _read_json(data: bytes) -> Object:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise ReadError(f"is not UTF-8 at {slips.position(before, len(before))}") from None
    if _depth(data) > MAX_DEPTH:
        raise ReadError(f"{_too_deep()} at {slips.find_depth(text, MAX_DEPTH)}")
    try:
        value, end = _scan(text, slips.skip_space(text))
        left = text[end:].strip(slips.SPACE)
    except Exception:
        left = "?"
    if left:
        slip = slips.find(text, _scan)
        raise ReadError(f"is not valid JSON at {slip}" if slip else "is not valid JSON")
    if not isinstance(value, Object):
        raise ReadError(f"is a JSON {'list' if isinstance(value, list) else 'value'}, and must be an object")
    return value


def _depth(text: bytes) -> int:
    """Returns how deep arrays and objects are nested: the scanner would recurse as deep."""
    # Between quotes that no backslash escapes are strings: every second piece.
    outside = b"".join(text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = deepest = 0
    for bracket in outside.translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _too_deep() -> ReadError:
    return ReadError(f"is nested deeper than {MAX_DEPTH} levels")


# ---- a serialized Struct

# The keys of the fields: a number, and in the lowest three bits the wire type.
_FIELD, _ITEM = 0x0A, 0x0A  # of Struct and of ListValue
_NAME, _VALUE = 0x0A, 0x12  # of Struct's entries
_NULL, _NUMBER, _STRING, _BOOL, _STRUCT, _LIST = 0x08, 0x11, 0x1A, 0x20, 0x2A, 0x32  # of Value


def _read_struct(data: bytes, depth: int) -> Object:
    if not depth:
        raise _too_deep()
    pairs = []
    for _, entry in _split(data, (_FIELD,)):
        parts = _split(entry, (_NAME, _VALUE))
        if [key for key, _ in parts] != [_NAME, _VALUE]:
            raise _no_struct()
        pairs.append((_decode(parts[0][1]), _read_value(parts[1][1], depth - 1)))
    return Object(pairs)


def _read_value(data: bytes, depth: int) -> Value:
    fields = _split(data, (_NULL, _NUMBER, _STRING, _BOOL, _STRUCT, _LIST))
    if len(fields) != 1:
        raise _no_struct()
    [(key, content)] = fields
    if key == _NUMBER:
        number: float = struct.unpack("<d", content)[0]
        return number
    if key == _STRING:
        return _decode(content)
    if key == _BOOL:
        return content != b"\0"
    if key == _STRUCT:
        return _read_struct(content, depth)
    if key == _LIST:
        if not depth:
            raise _too_deep()
        return [_read_value(item, depth - 1) for _, item in _split(content, (_ITEM,))]
    return None


def _split(message: bytes, keys: tuple[int, ...]) -> list[tuple[int, bytes]]:
    """Returns the key and the content of each field; any other key than these is an error."""
    fields = []
    at = 0
    while at < len(message):
        key = message[at]
        start = at + 1
        if key not in keys:
            raise _no_struct()
        if key & 7 == 1:
            end = start + 8
        else:
            size, end = _varint(message, start)
            if key & 7 == 2:
                start, end = end, end + size
        if end > len(message):
            raise _no_struct()
        fields.append((key, message[start:end]))
        at = end
    return fields


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Returns a number, seven bits a byte and the lowest first, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
    raise _no_struct()


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise _no_struct() from None


def _no_struct() -> ReadError:
    return ReadError("is not a valid google.protobuf.Struct")
