"""Latency at fixed rates: connections are due at times fixed beforehand, and counted from then on, however late the proxy is.

A closed loop waits for each reply before it connects again, and so spares a slow proxy the load that it cannot take: the coordinated
omission. Here nobody waits. The schedule is a Poisson process, as independent clients make it, and the same for every variant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench import load
from bench.intervals import Values
from bench.measure.throughput import WORKER
from bench.proxy import Proxy
from bench.variants import Variant

SHARES = (0.1, 0.5, 0.8)
"""Of the knee: the rate at which the slowest variant is saturated."""


@dataclass
class Rate:
    """Latencies in nanoseconds at one rate, a column for each variant, all with the same schedule; NaN where there was no reply."""

    share: float
    per_second: float
    table: Values
    late_p99_ns: float
    """How late the client itself was: what of a latency is not the proxy's."""
    worker_busy: dict[str, float]
    misroutes: int
    unanswered: int


def at_rate(
    proxy: Proxy,
    variants: Sequence[Variant],
    share: float,
    knee: float,
    slices: int,
    seconds: float,
    progress: Callable[[float], None] = lambda share: None,
    seed: int = 1,
) -> Rate:
    """Sends each variant `slices` times `seconds` of load, variants in turn; `knee` is in connections per second."""
    rate = share * knee
    count = max(20, round(rate * seconds))
    rng = np.random.default_rng(seed)
    columns: list[list[Values]] = [[] for _ in variants]
    late: list[Values] = []
    busy = {variant.name: 0.0 for variant in variants}
    misroutes = unanswered = 0
    for part in range(slices):
        for position, index in enumerate(rng.permutation(len(variants))):
            variant = variants[index]
            before = proxy.thread_cpu(WORKER)
            made = load.client("schedule", [proxy.ports[variant.name]], count, rate, seed + part)
            busy[variant.name] += (proxy.thread_cpu(WORKER) - before) / made.elapsed_ns / slices
            wrong, none = load.wrong(variant, made.records)
            misroutes, unanswered = misroutes + wrong, unanswered + none
            columns[index].append(load.latency_ns(made.records))
            late.append(load.lateness_ns(made.records))
            progress((part + (position + 1) / len(variants)) / slices)
    table = np.stack([np.concatenate(column) for column in columns], 1)
    return Rate(share, rate, table, float(np.quantile(np.concatenate(late), 0.99)), busy, misroutes, unanswered)
