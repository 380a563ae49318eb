"""Sends every other request, by chance, to the canary: a changed `:authority` makes Envoy choose the route anew."""

import random

import proxy_wasm
from proxy_wasm import HttpContext


class Request(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        if random.randrange(2) == 0:
            self.request_headers[":authority"] = self.request_headers[":authority"] + b"-canary"


class Plugin(proxy_wasm.RootContext):
    http_context = Request


proxy_wasm.register(Plugin)
