"""What Envoy offers, by the SDK's typed names, a root id each: attributes."""

from __future__ import annotations

import json

import proxy_wasm
from proxy_wasm import HttpContext, RootContext, StreamContext, attributes

GROUPS = ("source", "destination", "connection", "request", "response", "upstream", "xds", "plugin")


def read(callback: str) -> None:
    """Logs each attribute's type and value, or its exception."""
    for group in GROUPS:
        found = getattr(attributes, group)
        for name in vars(type(found)):
            if name[:1] != "_":
                try:
                    value = getattr(found, name)
                except Exception as error:
                    value = error
                told = value.hex() if isinstance(value, bytes) else value
                proxy_wasm.info(f"# {json.dumps([callback, group, name, type(value).__name__, told], default=repr)}")


class Request(HttpContext):
    """Reads in each phase of a request."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """The request is known."""
        read("on_request_headers")

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """The upstream connection is known."""
        read("on_response_headers")

    def on_log(self) -> None:
        """All is known."""
        read("on_log")


class Connection(StreamContext):
    """Reads in each phase of a connection."""

    def on_new_connection(self) -> None:
        """The client is known."""
        read("on_new_connection")

    def on_upstream_data(self, size: int, end_of_stream: bool) -> None:
        """The upstream connection is known."""
        if size:
            read("on_upstream_data")


class Attributes(RootContext):
    """Both kinds."""

    http_context = Request
    stream_context = Connection


proxy_wasm.register(Attributes, "attributes")
proxy_wasm.register(RootContext)  # the default training is of connections without a root id
