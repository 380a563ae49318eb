"""The filter that asks another service before it lets a request in, by callbacks."""

from __future__ import annotations

import proxy_wasm
from proxy_wasm import Action

QUESTION = {":method": "GET", ":path": "/check", ":authority": "authz"}


class Request(proxy_wasm.HttpContext):
    """A request."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        """Asks."""
        proxy_wasm.http_call("authz", QUESTION)
        return Action.PAUSE

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Lets in, or answers."""
        answer = proxy_wasm.get_http_answer()
        if answer.status == 200:
            self.continue_request()
        else:
            self.send_response(403)


class Root(proxy_wasm.RootContext):
    """The root."""

    http_context = Request


proxy_wasm.register(Root)
