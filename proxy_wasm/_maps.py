"""Header maps as the ABI writes them: a count, the sizes of names and values, then the texts, each with a zero byte."""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` is not loaded into the guest for this
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Text = str | bytes
    Pairs = list[tuple[bytes, bytes]]
    Headers = Mapping[str, Text] | Iterable[tuple[Text, Text]]


def serialize(headers: Headers) -> bytes:
    """Returns the map's bytes, in the order given."""
    pairs = headers.items() if hasattr(headers, "items") else headers
    encoded = [(_bytes(name), _bytes(value)) for name, value in pairs]
    sizes = b"".join(_u32(len(name)) + _u32(len(value)) for name, value in encoded)
    return _u32(len(encoded)) + sizes + b"".join(b"%b\0%b\0" % pair for pair in encoded)


def parse(data: bytes) -> Pairs:
    """Returns the map's pairs in order, or raises ValueError, never anything else; no bytes at all are an empty map."""
    if not data:
        return []
    if len(data) < 4:
        raise ValueError("header map: cut off in its count")
    count = int.from_bytes(data[:4], "little")
    at = 4 + 8 * count
    if at > len(data):
        raise ValueError("header map: cut off in its sizes")
    pairs = []
    for entry in range(4, at, 8):
        name_end = at + int.from_bytes(data[entry : entry + 4], "little")
        value_end = name_end + 1 + int.from_bytes(data[entry + 4 : entry + 8], "little")
        if value_end >= len(data):
            raise ValueError("header map: cut off in its texts")
        if data[name_end] or data[value_end]:
            raise ValueError("header map: a text does not end in a zero byte")
        pairs.append((data[at:name_end], data[name_end + 1 : value_end]))
        at = value_end + 1
    return pairs


def _bytes(text: Text) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")
