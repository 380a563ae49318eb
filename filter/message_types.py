"""Tells which type of message a configuration is that cannot be read, as far as its bytes tell.

Envoy hands a message of another type than StringValue and BytesValue over in protobuf's wire format, without the type's name.
"""

from __future__ import annotations

TAKEN = "it must come as a google.protobuf.StringValue, BytesValue or Struct"

_ENOUGH = 100  # fields to know a message by
_CONTROLS = bytes(byte for byte in range(32) if byte not in b"\t\n\r")

# The keys of the fields: a number, and in the lowest three bits the wire type.
_VALUE = (0x08, 0x11, 0x1A, 0x20, 0x2A, 0x32)  # null, number, string, bool, Struct and list
_INTEGER, _NANOSECONDS, _DOUBLE, _FLOAT, _TEXT, _MESSAGE = 0x08, 0x10, 0x09, 0x0D, 0x0A, 0x12


def is_text(data: bytes) -> bool:
    """Tells text from a message: it is UTF-8, and of the control characters it has only white space."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return len(data.translate(None, _CONTROLS)) == len(data)


def guess(data: bytes) -> str:
    """Returns the type of a message; "" for text and for a Struct."""
    if is_text(data) or data.lstrip().startswith((b"{", b"[")):
        return ""
    fields = _fields(data)
    keys = [key for key, _ in fields]
    if keys == [_TEXT, _MESSAGE]:
        return "a google.protobuf.Any or an xds.type.v3.TypedStruct"
    if set(keys) == {_TEXT}:
        inner = [[key for key, _ in _fields(content)] for _, content in fields]
        if all(item == [_TEXT, _MESSAGE] for item in inner):
            return ""
        if all(len(item) == 1 and item[0] in _VALUE for item in inner):
            return "a google.protobuf.ListValue"
    if keys and keys[0] == _INTEGER and set(keys) <= {_INTEGER, _NANOSECONDS}:
        return "a google.protobuf.BoolValue, Int64Value, Duration or Value"
    if len(keys) == 1 and keys[0] in _VALUE:
        return "a google.protobuf.Value"
    if keys in ([_DOUBLE], [_FLOAT]):
        return "a google.protobuf.DoubleValue or FloatValue"
    return "neither text in UTF-8 nor a message that is read"


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Returns the key and the content of the first fields; nothing if this is not a message of simple fields."""
    fields: list[tuple[int, bytes]] = []
    at = 0
    while at < len(message):
        if len(fields) == _ENOUGH:
            return fields
        key, kind = message[at], message[at] & 7
        at += 1
        if kind == 1 or kind == 5:
            size = 8 if kind == 1 else 4
        elif kind == 0 or kind == 2:
            number = shift = 0
            more = True
            while more:
                if at == len(message) or shift > 63:
                    return []
                number |= (message[at] & 0x7F) << shift
                more = message[at] > 0x7F
                shift += 7
                at += 1
            size = number if kind == 2 else 0
        else:
            return []
        fields.append((key, message[at : at + size]))
        at += size
    return fields if at == len(message) else []
