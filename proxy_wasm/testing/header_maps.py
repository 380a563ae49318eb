"""Header maps as a host keeps them, and as the ABI's bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxy_wasm.testing.records import HostStatus, Pairs

if TYPE_CHECKING:
    from proxy_wasm._maps import Headers

Text = str | bytes


def pairs(headers: Headers) -> Pairs:
    """Returns headers as a host keeps them: names in lower case, all bytes."""
    items: Iterable[tuple[Text, Text]] = headers.items() if hasattr(headers, "items") else headers
    return [(as_bytes(name).lower(), as_bytes(value)) for name, value in items]


def as_bytes(text: Text) -> bytes:
    """Returns a text as a host keeps it."""
    return text.encode() if isinstance(text, str) else text


# The SDK has functions of its own for this; a host that used them would not notice if both were wrong.


def serialize_header_map(pairs: Pairs) -> bytes:
    """Returns the ABI's bytes of a header map."""
    out = bytearray(len(pairs).to_bytes(4, "little"))
    for pair in pairs:
        for text in pair:
            out += len(text).to_bytes(4, "little")
    for pair in pairs:
        for text in pair:
            out += text + b"\0"
    return bytes(out)


def parse_header_map(data: bytes) -> Pairs:
    """Returns the pairs of a header map, or raises HostStatus."""
    numbers = memoryview(data[: len(data) // 4 * 4]).cast("I")
    count = numbers[0] if numbers else 0
    if len(numbers) < 1 + 2 * count:
        raise HostStatus("BAD_ARGUMENT")
    texts, at = [], 4 + 8 * count
    for size in numbers[1 : 1 + 2 * count]:
        texts.append(data[at : at + size])
        if data[at + size : at + size + 1] != b"\0":
            raise HostStatus("BAD_ARGUMENT")
        at += size + 1
    return list(zip(texts[::2], texts[1::2], strict=True))
