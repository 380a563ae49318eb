"""Header maps as the ABI writes them: a count, the sizes of names and values, then the texts, each with a zero byte."""

from __future__ import annotations

import _proxy_wasm

TYPE_CHECKING = False  # `typing` is not loaded into the guest for this
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Protocol

    Text = str | bytes
    Pair = tuple[Text, Text]
    Pairs = list[tuple[bytes, bytes]]

    class _Mapping(Protocol):
        def items(self) -> Iterable[Pair]: ...

    # A mapping by what it can do, and iterables that no mapping is: else a dict of str and bytes would not be taken for one.
    Headers = _Mapping | Sequence[Pair] | AbstractSet[Pair] | Iterator[Pair]


def serialize(headers: Headers) -> bytes:
    """Returns the map's bytes, in the order given; raises ValueError for what cannot be in a header."""
    pairs = headers.items() if hasattr(headers, "items") else headers
    texts: list[bytes] = []
    for name, value in pairs:
        texts += checked(name), checked(value)
    sizes = [len(text).to_bytes(4, "little") for text in texts]
    return b"".join([(len(texts) // 2).to_bytes(4, "little"), *sizes, b"\0".join([*texts, b""])])


def parse(data: bytes) -> Pairs:
    """Returns the map's pairs in order, or raises ValueError, never anything else; no bytes at all are an empty map."""
    pairs = _proxy_wasm.parse_pairs(data)
    if pairs is None:
        raise ValueError("header map: cut off, or a text does not end in a zero byte")
    return pairs


def checked(text: Text) -> bytes:
    """Returns a header's name or value as bytes; raises ValueError if a line ends in it.

    The proxy would take it, and in a response write it out: what follows would be a header of its own.
    """
    data = text if type(text) is bytes else text.encode() if isinstance(text, str) else text
    # Numbers: CPython looks whether bytes are a number first, and makes and drops an exception.
    if 10 in data or 13 in data or 0 in data:
        raise ValueError(f"a header with a line's end or a NUL in it: {data!r}")
    return data


def as_text(text: Text) -> Text:
    """Returns a name or value as a host call takes it; raises as `checked`, but looks at most texts as a whole."""
    return text if type(text) is str and text.isprintable() else checked(text)
