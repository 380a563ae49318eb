"""Envoy's foreign functions, as far as a test host can answer them: `host.foreign_functions` has them from the start.

Filter state is kept in the context, where `Connection.cluster` looks. A test says what a CEL expression gives (`host.expressions`). For
`sign` and `verify_signature` it puts a function of its own into `host.foreign_functions`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

from proxy_wasm.testing.records import Context, HostStatus

CLUSTER = b"envoy.tcp_proxy.cluster"
# The SDK writes these messages itself; a host that used its functions would not notice if both were wrong.


class Proxy(Protocol):
    """What the functions read and change of a host."""

    expressions: dict[str, bytes | Callable[[], bytes]]
    declared: set[object]

    @property
    def context(self) -> Context:
        """The context that is spoken for."""


def read_message(data: bytes) -> dict[int, bytes | int]:
    """Returns the fields of a protobuf message by number, or raises HostStatus."""
    fields: dict[int, bytes | int] = {}
    rest = iter(data)

    def varint() -> int:
        number, shift = 0, 0
        for byte in rest:
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
        raise HostStatus("BAD_ARGUMENT")

    for first in rest:
        number, wire = first >> 3, first & 7
        if wire not in (0, 2) or first > 0x7F:
            raise HostStatus("BAD_ARGUMENT")
        value = varint()
        if wire == 0:
            fields[number] = value
            continue
        fields[number] = bytes(byte for _, byte in zip(range(value), rest, strict=False))
        if len(bytes(fields[number])) < value:
            raise HostStatus("BAD_ARGUMENT")
    return fields


def functions(host: Proxy) -> dict[bytes, Callable[[bytes], bytes]]:
    """Returns the functions of a host, by name."""
    expressions: dict[bytes, str] = {}

    def set_envoy_filter_state(argument: bytes) -> bytes:
        fields = read_message(argument)
        key, value = fields.get(1, b""), fields.get(2, b"")
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            raise HostStatus("BAD_ARGUMENT")
        # A root has no connection, and other keys have nothing that makes an object.
        if not key.startswith(b"envoy.") or not host.context.parent_context_id:
            raise HostStatus("NOT_FOUND")
        host.context.envoy_filter_state[key] = value
        return b""

    def clear_route_cache(argument: bytes) -> bytes:
        host.context.routes_cleared += 1
        return b""

    def declare_property(argument: bytes) -> bytes:
        name = read_message(argument).get(1, b"")
        if name in host.declared:
            raise HostStatus("BAD_ARGUMENT")
        host.declared.add(name)
        return b""

    def expr_create(argument: bytes) -> bytes:
        text = argument.decode()
        if text not in host.expressions:
            raise HostStatus("BAD_ARGUMENT")
        token = len(expressions).to_bytes(4, "little")
        expressions[token] = text
        return token

    def expr_evaluate(argument: bytes) -> bytes:
        if not expressions.get(argument):
            raise HostStatus("NOT_FOUND")
        value = host.expressions[expressions[argument]]
        return value() if callable(value) else value

    def expr_delete(argument: bytes) -> bytes:
        expressions[argument] = ""
        return b""

    def uncompress(argument: bytes) -> bytes:
        try:
            return zlib.decompress(argument)
        except zlib.error as error:
            raise HostStatus("SERIALIZATION_FAILURE") from error

    named = (set_envoy_filter_state, clear_route_cache, declare_property, expr_create, expr_evaluate, expr_delete)
    return {
        **{function.__name__.encode(): function for function in (*named, uncompress)},
        b"compress": lambda argument: zlib.compress(argument),
    }
