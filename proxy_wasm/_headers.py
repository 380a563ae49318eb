"""A header map as Python's mappings are, but with several values for a name, and with names in any case.

An object of it holds no headers: each operation asks the proxy. So one object serves all requests, and costs none of them anything.
"""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm._maps import as_text, checked, parse, serialize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar, overload

    from proxy_wasm._maps import Headers as AnyHeaders
    from proxy_wasm._maps import Pairs, Text

    Default = TypeVar("Default")


class Headers:
    """The headers or trailers of a request or a response, while the proxy holds them; values come as bytes.

    The first value counts where one is asked for. A map that is not there is empty, and raises BadArgumentError if one of
    its headers is asked for, or set. Names and values with CR, LF or NUL raise ValueError.
    """

    __slots__ = ("_map",)

    def __init__(self, header_map: int) -> None:
        self._map = header_map

    def __getitem__(self, name: Text) -> bytes:
        value = _proxy_wasm.proxy_get_header_map_value(self._map, name)
        if value is None:
            raise KeyError(name)
        return value

    if TYPE_CHECKING:

        @overload
        def get(self, name: Text) -> bytes | None: ...
        @overload
        def get(self, name: Text, default: Default) -> bytes | Default: ...

    def get(self, name: Text, default: object = None) -> object:
        """Returns the first value of a header, or the default."""
        value = _proxy_wasm.proxy_get_header_map_value(self._map, name)
        return default if value is None else value

    def get_all(self, name: Text) -> list[bytes]:
        """Returns all values of a header, in order."""
        wanted = checked(name).lower()
        return [value for found, value in self.items() if found == wanted]

    def __setitem__(self, name: Text, value: Text) -> None:
        """Replaces all values of a header by one."""
        _proxy_wasm.proxy_replace_header_map_value(self._map, as_text(name), as_text(value))

    def add(self, name: Text, value: Text) -> None:
        """Adds a value, after those that the header has."""
        _proxy_wasm.proxy_add_header_map_value(self._map, as_text(name), as_text(value))

    def __delitem__(self, name: Text) -> None:
        """Removes all values of a header; it need not be there."""
        _proxy_wasm.proxy_remove_header_map_value(self._map, name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str | bytes) and self.get(name) is not None

    def items(self) -> Pairs:
        """Returns all names, which are in lower case, and values, in order."""
        return parse(_proxy_wasm.proxy_get_header_map_pairs(self._map))

    def __iter__(self) -> Iterator[bytes]:
        """Yields the name of each value: one with two values twice."""
        return iter([name for name, _ in self.items()])

    def __len__(self) -> int:
        """The number of values."""
        return len(self.items())

    def replace(self, headers: AnyHeaders) -> None:
        """Replaces the whole map. Envoy needs the pseudo headers (`:path`), and `x-forwarded-proto` of a request, to remain."""
        _proxy_wasm.proxy_set_header_map_pairs(self._map, serialize(headers))

    @property
    def size(self) -> int:
        """The size of all names and values, in bytes."""
        return _proxy_wasm.proxy_get_header_map_size(self._map)

    def __repr__(self) -> str:
        return f"Headers({self._map})"
