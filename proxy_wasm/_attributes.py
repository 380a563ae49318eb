"""What reads an attribute of the proxy: a descriptor for each type. `attributes.py`, which is generated, is made of these.

Nothing is kept: each reading asks the proxy, in the name of the context whose callback runs.
"""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm._errors import SerializationFailureError
from proxy_wasm._maps import parse

_get_property = _proxy_wasm.proxy_get_property


class _Attribute:
    """An attribute, by its encoded path."""

    __slots__ = ("_path",)

    def __init__(self, path: bytes) -> None:
        self._path = path


class Text(_Attribute):
    """Text, which is UTF-8; bytes that are not are kept as `surrogateescape` has it, so that no two texts look alike."""

    __slots__ = ()

    def __get__(self, group: object, owner: object = None) -> str | None:
        value = _get_property(self._path)
        return None if value is None else value.decode("utf-8", "surrogateescape")


class Number(_Attribute):
    """A number of 64 bits."""

    __slots__ = ()

    def __get__(self, group: object, owner: object = None) -> int | None:
        value = _get_property(self._path)
        return None if value is None else int.from_bytes(value, "little", signed=True)


class Truth(_Attribute):
    """True or False."""

    __slots__ = ()

    def __get__(self, group: object, owner: object = None) -> bool | None:
        value = _get_property(self._path)
        return None if value is None else value != b"\0"


class Map(_Attribute):
    """A map of texts."""

    __slots__ = ()

    def __get__(self, group: object, owner: object = None) -> dict[str, str] | None:
        value = _get_property(self._path)
        if value is None:
            return None
        return {
            name.decode("utf-8", "surrogateescape"): text.decode("utf-8", "surrogateescape")
            for name, text in parse(value)
        }


class Message(_Attribute):
    """A protobuf message, in its encoded form."""

    __slots__ = ()

    def __get__(self, group: object, owner: object = None) -> bytes | None:
        try:
            return _get_property(self._path)
        except SerializationFailureError:  # Envoy has no object for it
            return None


class Packed(_Attribute):
    """The bytes of the IP address in an address."""

    __slots__ = ()

    def __get__(self, group: object, owner: object = None) -> bytes | None:
        value = _get_property(self._path)
        return None if value is None else _proxy_wasm.packed_address(value)


class Ip(_Attribute):
    """The IP address in an address, as text."""

    __slots__ = ()

    def __get__(self, group: object, owner: object = None) -> str | None:
        value = _get_property(self._path)
        if value is None or _proxy_wasm.packed_address(value) is None:
            return None
        # With a port it is 10.0.0.1:4711 or [::1]:4711, and without one 10.0.0.1 or ::1.
        host, colon, _ = value.decode().rpartition(":")
        if host[:1] == "[":
            return host[1:-1]
        return host if colon and ":" not in host else value.decode().strip("[]")
