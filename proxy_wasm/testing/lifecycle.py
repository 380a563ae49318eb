"""A VM as a test drives it: its root, its connections and its requests."""

from __future__ import annotations

from proxy_wasm.testing.attributes import Properties, Value
from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.driver import Driver
from proxy_wasm.testing.exchange import Exchange
from proxy_wasm.testing.given import encoded


class Vm(Driver):
    """A VM with one plugin in it, driven by a test."""

    def connection(
        self, properties: Properties | None = None, source: str | bytes | None = None, early_data: bool = False
    ) -> Connection:
        """Makes a connection's context; `source` is short for the attributes source.address and source.port.

        Properties have names such as "destination.port", and values of their types; or encoded paths, and bytes. ValueError: Envoy has
        no such attribute, or it is of another type or form. If nothing says where it goes, that is port 10000 of 127.0.0.1.
        `early_data` says that `tcp_proxy` has `max_early_data_bytes`: Envoy then reads from the client while `on_new_connection` is
        paused.
        """
        return Connection(self, self.create_context(self.root.context_id, _with(properties, source)), early_data)

    def exchange(self, properties: Properties | None = None, source: str | bytes | None = None) -> Exchange:
        """Makes the context of an HTTP request; properties and `source` are as those of a connection."""
        return Exchange(self, self.create_context(self.root.context_id, _with(properties, source)))


_DESTINATION: dict[str, Value] = {"destination.address": "127.0.0.1:10000", "destination.port": 10000}
"""Where a connection goes if a test does not say it: Envoy always knows."""


def _with(properties: Properties | None, source: str | bytes | None) -> dict[bytes, bytes]:
    text = source.decode("latin-1") if isinstance(source, bytes) else source or ""
    port = text.rpartition(":")[2]
    address: dict[str, Value] = {} if source is None else {"source.address": source}
    if port.isascii() and port.isdigit() and len(port) <= 5:
        address["source.port"] = int(port)
    given = encoded(address) | encoded(properties or {})
    default = encoded(_DESTINATION)
    return given if given.keys() & default.keys() else default | given
