"""Protobuf's bytes, field by field: read, and written as far as messages to Envoy need it."""

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


def varint(number: int) -> bytes:
    """Returns a number's bytes."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number: int, value: str | bytes) -> bytes:
    """Returns a field of text or bytes; nothing if the value is empty."""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | LENGTH) + varint(len(data)) + data if data else b""


def cluster_argument(cluster: str | bytes) -> bytes:
    """Returns what `set_envoy_filter_state` takes to make `tcp_proxy` choose a cluster."""
    return field(1, "envoy.tcp_proxy.cluster") + field(2, cluster)
