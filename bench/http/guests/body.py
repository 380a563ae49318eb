"""The filter that puts another body into the response: it is given the whole one first."""

from __future__ import annotations

import proxy_wasm

OTHER = b"b" * 65536


class Request(proxy_wasm.HttpContext):
    """A request."""

    def on_response_complete(self, body: bytes) -> None:
        """Replaces the body."""
        if body:
            self.response_body.replace(OTHER)


class Root(proxy_wasm.RootContext):
    """The root."""

    http_context = Request


proxy_wasm.register(Root)
