"""Counters in Envoy's statistics: `wasmcustom.tcp_routing.<name>`.

A count is one host call. Counting in the guest and handing over once a second would save most of its little time. It would cost
wake-ups of every VM, counts that are late, and the last second's counts of a VM that traps.
"""

from __future__ import annotations

import proxy_wasm
from proxy_wasm import HostError, MetricKind

# The plugins of a VM, and their later configurations, share what is defined: the proxy would keep each definition for ever.
_defined: dict[str, int] = {}
UNDEFINED = 0
"""The number that no metric has."""


def counter(name: str) -> int:
    """Returns the metric of that name, for `increment_metric`; UNDEFINED if the proxy defines none."""
    name = _without_colons(name)
    if name not in _defined:
        try:
            _defined[name] = proxy_wasm.define_metric(MetricKind.COUNTER, f"tcp_routing.{name}")
        except HostError:
            return UNDEFINED
    return _defined[name]


def _without_colons(name: str) -> str:
    # As Envoy does in its own names, so that the label is the same: a colon ends the name in a line of StatsD.
    return name.replace("://", "_").replace(":/", "_").replace(":", "_")
