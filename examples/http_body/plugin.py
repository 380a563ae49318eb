"""Replaces a response's body if it tells a secret."""

import proxy_wasm
from proxy_wasm import HttpContext


class Request(HttpContext):
    def on_response_complete(self, body: bytes) -> None:
        if b"secret" in body:
            self.response_body.replace(f"Original message body ({len(body)} bytes) redacted.\n")


class Plugin(proxy_wasm.RootContext):
    http_context = Request


proxy_wasm.register(Plugin)
