"""Counts requests by the value of a header, in a metric that Prometheus sees with tags."""

import proxy_wasm
from proxy_wasm import HttpContext, MetricKind

MAX_COUNTERS = 100


class Request(HttpContext):
    root: "Plugin"

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> None:
        value = self.request_headers.get("my-custom-header")
        if value is not None and value.isalpha():
            self.root.count(value.decode())


class Plugin(proxy_wasm.RootContext):
    http_context = Request

    def __init__(self, context_id: int) -> None:
        super().__init__(context_id)
        self.counters: dict[str, int] = {}

    def count(self, value: str) -> None:
        # The client chooses the value, and a metric is never given back: so there is a bound.
        if value not in self.counters and len(self.counters) >= MAX_COUNTERS:
            value = "other"
        if value not in self.counters:
            # `stats_tags` in envoy.yaml makes tags of this.
            name = f"custom_header_value_counts_value={value}_reporter=python"
            self.counters[value] = proxy_wasm.define_metric(MetricKind.COUNTER, name)
        proxy_wasm.increment_metric(self.counters[value], 1)


proxy_wasm.register(Plugin)
