"""Reads JSON values in the two forms in which Envoy hands a configuration over: as JSON text, and as a serialized Struct.

What Envoy's configuration gives as a google.protobuf.StringValue arrives as that text; a google.protobuf.Struct arrives
in protobuf's wire format. The text is read by CPython's own scanner, without the package `json` around it, which would
load `re` and others into every VM; a Struct has six kinds of values, and protobuf's runtime weighs megabytes.
"""

from __future__ import annotations

import _json

from filter import slips
from filter.struct_values import LONG, DepthError, SizeError, StructError, StructReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, TypeAlias

    Value: TypeAlias = "bool | int | float | str | list[Value] | Object | None"

MAX_BYTES = 1 << 18  # without packed lists
MAX_BYTES_IN_ALL = 1 << 22
MAX_DEPTH = 16  # the configuration's schema needs five; whatever reads values recurses as deep


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
    if len(data) > MAX_BYTES_IN_ALL:
        raise ReadError(f"has {len(data)} bytes; at most {MAX_BYTES_IN_ALL} are read")
    return _read_struct(data) if is_struct(data) else _read_json(data)


def _too_long(size: int) -> ReadError:
    return ReadError(f"has {size} bytes; at most {MAX_BYTES} are read, packed lists not counted")


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


_DIGITS = tuple("0123456789")
_scan = _json.make_scanner(_Scanning)  # type: ignore[arg-type]  # typeshed wants what make_scanner returns


def read_number(text: str) -> int | float | None:
    """Returns the number that a text is, as JSON or YAML writes it: 12.5, .5, 5. and +5; None for any other text."""
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits[:1] == "." and digits[1:2] in _DIGITS:
        digits = "0" + digits
    whole, dot, rest = digits.partition(".")
    if dot and whole[-1:] in _DIGITS and rest[:1] in ("", "e", "E"):
        digits = f"{whole}.0{rest}"
    try:
        value, end = _scan(digits, 0)
    except Exception:
        return None
    if end < len(digits) or digits[:1] not in _DIGITS:
        return None
    number: int | float = value
    return -number if text[0] == "-" else number


def _read_json(data: bytes) -> Object:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise ReadError(f"is not UTF-8 at {slips.position(before, len(before))}") from None
    # Between quotes that no backslash escapes are strings: every second piece. A long one costs almost nothing to read.
    pieces = data.split(b'"', MAX_BYTES)
    if (
        len(data) > MAX_BYTES
        and len(data) - sum([len(piece) for piece in pieces[1::2] if len(piece) >= LONG]) > MAX_BYTES
    ):
        raise _too_long(len(data))
    if b"\\" in data:
        pieces = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    # The scanner recurses as deep as arrays and objects are nested.
    if slips.is_deeper(b"".join(pieces[::2]), MAX_DEPTH):
        raise ReadError(f"{_too_deep()} at {slips.find_depth(text, MAX_DEPTH)}")
    try:
        value, end = slips.read(_scan, text, slips.skip_space(text))
        left = text[end:].strip(slips.SPACE)
    except Exception:
        left = "?"
    if left:
        slip = slips.find(text)
        raise ReadError(f"is not valid JSON at {slip}" if slip else "is not valid JSON")
    if not isinstance(value, Object):
        raise ReadError(f"is a JSON {'list' if isinstance(value, list) else 'value'}, and must be an object")
    return value


def _too_deep() -> ReadError:
    return ReadError(f"is nested deeper than {MAX_DEPTH} levels")


# ---- a serialized Struct


def _read_struct(data: bytes) -> Object:
    reader = StructReader(data, Object, MAX_BYTES, MAX_DEPTH)
    try:
        value: Object = reader.read()
    except DepthError:
        raise _too_deep() from None
    except SizeError:
        raise _too_long(len(data)) from None
    except StructError:
        raise ReadError("is not a valid google.protobuf.Struct") from None
    return value
