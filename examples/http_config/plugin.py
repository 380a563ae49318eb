"""Adds a response header whose value is the plugin's configuration."""

import proxy_wasm
from proxy_wasm import HttpContext


class Request(HttpContext):
    root: "Plugin"

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> None:
        self.response_headers.add("custom-header", self.root.configuration)


class Plugin(proxy_wasm.RootContext):
    http_context = Request
    configuration = b""

    def on_configure(self, configuration: bytes) -> bool:
        self.configuration = configuration
        return True


proxy_wasm.register(Plugin)
