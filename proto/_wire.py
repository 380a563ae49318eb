"""The wire format of protobuf: what the generated encoders are made of.

`encode_KIND` returns a value's payload, with its length in front where the kind has one. The four functions after them
put payloads behind the field's key, as they stand in a message.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False  # `typing` is not loaded into the guest for this
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol, TypeVar

    Value = TypeVar("Value")

    class Message(Protocol):
        """What every generated class is."""

        def SerializeToString(self) -> bytes:
            """Returns the message as protobuf writes it."""


# ---- payloads


def encode_varint(value: int) -> bytes:
    """Encodes a number that is not negative, seven bits a byte, the lowest first."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_int32(value: int) -> bytes:
    """Encodes an int32, or an enum's number."""
    return encode_varint(_signed(value, 32) & 0xFFFFFFFFFFFFFFFF)


def encode_int64(value: int) -> bytes:
    """Encodes an int64."""
    return encode_varint(_signed(value, 64) & 0xFFFFFFFFFFFFFFFF)


def encode_uint32(value: int) -> bytes:
    """Encodes a uint32."""
    return encode_varint(_unsigned(value, 32))


def encode_uint64(value: int) -> bytes:
    """Encodes a uint64."""
    return encode_varint(_unsigned(value, 64))


def encode_sint32(value: int) -> bytes:
    """Encodes a sint32: numbers near zero are short, negative ones too."""
    return encode_varint(_signed(value, 32) << 1 ^ value >> 31)


def encode_sint64(value: int) -> bytes:
    """Encodes a sint64: numbers near zero are short, negative ones too."""
    return encode_varint(_signed(value, 64) << 1 ^ value >> 63)


def encode_bool(value: bool) -> bytes:
    """Encodes a bool."""
    return b"\x01" if value else b"\x00"


def encode_fixed32(value: int) -> bytes:
    """Encodes a fixed32."""
    return _unsigned(value, 32).to_bytes(4, "little")


def encode_fixed64(value: int) -> bytes:
    """Encodes a fixed64."""
    return _unsigned(value, 64).to_bytes(8, "little")


def encode_sfixed32(value: int) -> bytes:
    """Encodes an sfixed32."""
    return _signed(value, 32).to_bytes(4, "little", signed=True)


def encode_sfixed64(value: int) -> bytes:
    """Encodes an sfixed64."""
    return _signed(value, 64).to_bytes(8, "little", signed=True)


def encode_float(value: float) -> bytes:
    """Encodes a float: the nearest there is, so an infinity for what is too large."""
    try:
        return struct.pack("<f", value)
    except OverflowError:
        return struct.pack("<f", float("inf") if value > 0 else float("-inf"))


def encode_double(value: float) -> bytes:
    """Encodes a double."""
    return struct.pack("<d", value)


def encode_bytes(value: bytes) -> bytes:
    """Encodes bytes."""
    return encode_varint(len(value)) + value


def encode_string(value: str) -> bytes:
    """Encodes a string."""
    return encode_bytes(value.encode())


def encode_message(value: Message) -> bytes:
    """Encodes a message within a message."""
    return encode_bytes(value.SerializeToString())


def _signed(value: int, bits: int) -> int:
    if not -1 << bits - 1 <= value < 1 << bits - 1:
        raise ValueError(f"{value} is out of range: the field is signed and has {bits} bits")
    return value


def _unsigned(value: int, bits: int) -> int:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{value} is out of range: the field is unsigned and has {bits} bits")
    return value


# ---- fields


def singular(key: bytes, encode: Callable[[Value], bytes], value: Value) -> bytes:
    """Encodes a field; the default, whose payload is all zeros whatever the kind, is left out."""
    payload = encode(value)
    return key + payload if any(payload) else b""


def optional(key: bytes, encode: Callable[[Value], bytes], value: Value | None) -> bytes:
    """Encodes a field that is there, even when empty, unless it is None."""
    return b"" if value is None else key + encode(value)


def repeated(key: bytes, encode: Callable[[Value], bytes], values: Iterable[Value]) -> bytes:
    """Encodes a field once for each value."""
    return b"".join([key + encode(value) for value in values])


def packed(key: bytes, encode: Callable[[Value], bytes], values: Iterable[Value]) -> bytes:
    """Encodes all values in one field; none at all are left out."""
    payload = b"".join([encode(value) for value in values])
    return key + encode_bytes(payload) if payload else b""
