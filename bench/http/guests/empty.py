"""The filter that does nothing: it is told of each request's headers."""

from __future__ import annotations

import proxy_wasm


class Request(proxy_wasm.HttpContext):
    """A request."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Does nothing."""


class Root(proxy_wasm.RootContext):
    """The root."""

    http_context = Request


proxy_wasm.register(Root)
