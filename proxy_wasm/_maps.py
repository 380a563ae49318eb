"""Header maps as the ABI writes them, which the boundary reads and writes (`headers.h`)."""

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
    """Returns the map's bytes, in the order given.

    ValueError for what cannot be in a header: the proxy would take a line's end, and in a response write it out. What follows would be
    a header of its own.
    """
    return _proxy_wasm.write_pairs(headers.items() if hasattr(headers, "items") else headers)


# ValueError for what is no map, and never anything else; no bytes at all are an empty map.
parse = _proxy_wasm.parse_pairs
