"""The filter that reads all headers, both ways."""

from __future__ import annotations

import proxy_wasm


class Request(proxy_wasm.HttpContext):
    """A request."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Reads all."""
        self.request_headers.items()

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Reads all."""
        self.response_headers.items()


class Root(proxy_wasm.RootContext):
    """The root."""

    http_context = Request


proxy_wasm.register(Root)
