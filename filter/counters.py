"""Counters in Envoy's statistics, kept in the guest and handed over in one go: a connection costs no host call for them.

What is counted shows up at the next tick, a second later at most, and when the plugin goes. A VM that traps takes the counts of its
last second with it.
"""

from __future__ import annotations

import proxy_wasm
from proxy_wasm import MetricKind

TICK_MILLISECONDS = 1000

# A VM's plugins and their later configurations share a metric: the proxy would keep a number for each definition.
_metrics: dict[str, int] = {}


class Counter:
    """A counter of Envoy, `wasmcustom.tcp_routing.<name>`."""

    __slots__ = ("count", "metric")

    def __init__(self, name: str) -> None:
        name = f"tcp_routing.{name}"
        if name not in _metrics:
            _metrics[name] = proxy_wasm.define_metric(MetricKind.COUNTER, name)
        self.metric = _metrics[name]
        self.count = 0

    def flush(self) -> None:
        """Hands over what was counted since the last time."""
        if self.count:
            proxy_wasm.increment_metric(self.metric, self.count)
            self.count = 0
