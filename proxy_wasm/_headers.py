"""A header map as Python's mappings are, but with several values for a name, and with names in any case.

An object of it holds no headers: each operation asks the proxy. So one object serves all requests, and costs none of them anything.
"""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm._maps import serialize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar, overload

    from proxy_wasm._maps import Headers as AnyHeaders
    from proxy_wasm._maps import Pairs, Text

    Default = TypeVar("Default")


class Headers(_proxy_wasm.HeaderMap):
    """The headers or trailers of a request or a response, while the proxy holds them; values come as bytes.

    The first value counts where one is asked for. A map that is not there is empty, and raises BadArgumentError if one of
    its headers is asked for, or set. Names and values with CR, LF or NUL raise ValueError.
    """

    __slots__ = ()

    # The boundary has these, in C. They make host calls that a module imports only if its sources name them: proxy_get_header_map_value,
    # proxy_replace_header_map_value, proxy_add_header_map_value, proxy_remove_header_map_value, and proxy_get_header_map_pairs.
    if TYPE_CHECKING:

        def __getitem__(self, name: Text, /) -> bytes: ...
        @overload
        def get(self, name: Text, /) -> bytes | None: ...
        @overload
        def get(self, name: Text, /, default: Default) -> bytes | Default: ...
        def get(self, name: Text, /, default: object = None) -> object:
            """Returns the first value of a header, or the default."""

        def __setitem__(self, name: Text, value: Text, /) -> None:
            """Replaces all values of a header by one."""

        def add(self, name: Text, value: Text, /) -> None:
            """Adds a value, after those that the header has."""

        def __delitem__(self, name: Text, /) -> None:
            """Removes all values of a header; it need not be there."""

        def items(self) -> Pairs:
            """Returns all names, which are in lower case, and values, in order."""

    def get_all(self, name: Text) -> list[bytes]:
        """Returns all values of a header, in order."""
        wanted = (name.encode() if isinstance(name, str) else name).lower()
        return [value for found, value in self.items() if found == wanted]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str | bytes) and self.get(name) is not None

    def __iter__(self) -> Iterator[bytes]:
        """Yields the name of each value: one with two values twice."""
        return iter([name for name, _ in self.items()])

    def __len__(self) -> int:
        """The number of values."""
        return len(self.items())

    def replace(self, headers: AnyHeaders) -> None:
        """Replaces the whole map. Envoy needs the pseudo headers (`:path`), and `x-forwarded-proto` of a request, to remain."""
        _proxy_wasm.proxy_set_header_map_pairs(self.map, serialize(headers))

    @property
    def size(self) -> int:
        """The size of all names and values, in bytes."""
        return _proxy_wasm.proxy_get_header_map_size(self.map)

    def __repr__(self) -> str:
        return f"Headers({self.map})"


_proxy_wasm.freeze(Headers)
