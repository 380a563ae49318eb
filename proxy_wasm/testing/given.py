"""The attributes that a test gives to a connection or request: a name that Envoy has, and a value of its type and form."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from proxy_wasm.testing.attributes import Attribute, Properties, read
from proxy_wasm.testing.boundary import packed_address
from proxy_wasm.testing.header_maps import serialize_header_map

_FREE = ("metadata", "filter_state", "upstream_filter_state", "node")
"""First segments behind which anything may come."""

_PORTS = 65535
_NUMBERS = 2**63


def encoded(properties: Properties) -> dict[bytes, bytes]:
    """Returns properties as a proxy has them, from names such as "source.port", or encoded paths, and values of their types.

    ValueError: Envoy has no attribute of that name, or it has another type or form. An encoded path and bytes are taken as they are.
    """
    return {
        name if isinstance(name, bytes) else name.replace(".", "\0").encode(): _value(name, value)
        for name, value in properties.items()
    }


class _Form(NamedTuple):
    """What values of a type are: in words, how to tell one, and its bytes."""

    text: str
    fits: Callable[[Any], bool]
    encode: Callable[[Any], bytes]


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -_NUMBERS <= value < _NUMBERS


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for pair in value.items() for text in pair)


def _is_address(value: object) -> bool:
    if not isinstance(value, str):
        return False
    # A socket of the machine's own has a path, and a listener within Envoy a name.
    return not value or value.startswith(("/", "@", "envoy://")) or packed_address(value) is not None


def _map(value: Mapping[str, str]) -> bytes:
    return serialize_header_map([(name.encode(), text.encode()) for name, text in value.items()])


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little", signed=True)


_NUMBER = _Form("a number of 64 bits, such as 1", _is_number, _number)
_PORT = _Form("a port, such as 443", lambda value: _is_number(value) and 0 <= value <= _PORTS, _number)
_ADDRESS = _Form('an address, such as "10.0.0.1:4711", "[::1]:4711" or "/run/x.sock"', _is_address, str.encode)
_FORMS = {
    "string": _Form("text", lambda value: isinstance(value, str), str.encode),
    "bool": _Form("True or False", lambda value: isinstance(value, bool), lambda value: bytes([value])),
    "map": _Form('a dict of texts, such as {"x-user": "ann"}', _is_map, _map),
    "message": _Form("a protobuf message's bytes", lambda value: False, bytes),
}
"""The forms of types. All other types are numbers."""


def _value(name: str | bytes, value: Any) -> bytes:
    if isinstance(value, bytes):
        _known(name)
        return value
    row = _known(name)
    form = _form(row) if row else next((one for one in _FORMS.values() if one.fits(value)), _NUMBER)
    if not form.fits(value):
        name = name if isinstance(name, str) else name.decode("utf-8", "replace").replace("\0", ".")
        raise ValueError(f"the attribute {name} is {form.text}, and not {value!r}; bytes are taken as they are")
    return form.encode(value)


def _form(row: Attribute) -> _Form:
    if row.type == "string" and row.name in ("address", "local_address"):
        return _ADDRESS
    return _PORT if row.name == "port" else _FORMS.get(row.type, _NUMBER)


def _known(name: str | bytes) -> Attribute | None:
    """Returns the attribute of a name; None if anything may have the name."""
    if isinstance(name, bytes):
        return _table().get(name.rstrip(b"\0").replace(b"\0", b".").decode("utf-8", "replace"))
    table = _table()
    first, dot, _ = name.partition(".")
    if name in table or not dot or first in _FREE or any(name.startswith(f"{path}.") for path in _messages()):
        return table.get(name)
    for row in _rows():
        if f"{row.group}.{row.name}" == name:
            raise ValueError(f"the attribute {name} is read from {'.'.join(row.path)}: give that one")
    near = difflib.get_close_matches(name, table, 1)
    hint = f"did you mean {near[0]}" if near else "is it misspelt"
    raise ValueError(f"Envoy has no attribute {name}; {hint}? What Envoy has is in proxy_wasm/attributes.toml")


@cache
def _rows() -> list[Attribute]:
    return [row for _, rows in read().values() for row in rows]


@cache
def _table() -> dict[str, Attribute]:
    return {".".join(row.path): row for row in _rows() if row.path[-1].removeprefix("plugin_") == row.name}


@cache
def _messages() -> list[str]:
    return [name for name, row in _table().items() if row.type in ("message", "map")]
