"""The filter that does what most do: it reads a header of the request and sets one, and one of the response."""

from __future__ import annotations

import proxy_wasm


class Request(proxy_wasm.HttpContext):
    """A request."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Reads a header and sets one."""
        self.request_headers["x-seen"] = self.request_headers[":path"]

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        """Sets a header."""
        self.response_headers["x-answer"] = "yes"


class Root(proxy_wasm.RootContext):
    """The root."""

    http_context = Request


proxy_wasm.register(Root)
