"""Counts requests by the value of a header, in a metric that Prometheus sees with tags."""

import proxy_wasm
from proxy_wasm import HttpContext
from proxy_wasm.metrics import Counter

# The client chooses the value, and a metric is never given back: so there is a bound.
COUNTS = Counter("custom_header_value_counts", "value", "reporter", limit=100)


class Request(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        value = self.request_headers.get("my-custom-header")
        if value is not None and value.isalpha():
            COUNTS.increment(value=value, reporter="python")


class Plugin(proxy_wasm.RootContext):
    http_context = Request


proxy_wasm.register(Plugin)
