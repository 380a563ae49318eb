"""What a connection costs the proxy's worker thread, and how many a second it can take: bursts as fast as the proxy allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench import load
from bench.intervals import Interval, bootstrap, interval
from bench.proxy import Proxy
from bench.variants import Variant

CONCURRENCY = 16
"""Connections under way at a time: enough to keep a worker busy, and few enough not to queue for long."""
WORKER = "wrk:"


@dataclass
class Bursts:
    """One variant's bursts, a number for each."""

    variant: Variant
    per_second: list[float] = field(default_factory=list)
    worker_us: list[float] = field(default_factory=list)
    """Processor time of Envoy's workers for a connection, microseconds."""
    worker_busy: list[float] = field(default_factory=list)
    """The share of the time that the worker was on a processor: near 1, it is the proxy that sets the pace."""
    client_us: list[float] = field(default_factory=list)
    routers_us: list[float] = field(default_factory=list)
    misroutes: int = 0
    unanswered: int = 0

    def median(self, values: list[float]) -> Interval:
        """Returns the median over the bursts."""
        drawn = bootstrap(np.array(values)[:, None], lambda column: np.median(column, keepdims=True))
        return interval(float(np.median(values)), drawn)


def bursts(
    proxy: Proxy,
    variants: Sequence[Variant],
    routers: load.Routers,
    repeats: int,
    count: int,
    progress: Callable[[float], None] = lambda share: None,
    seed: int = 1,
) -> list[Bursts]:
    """Makes `repeats` bursts of `count` connections to each variant, in an order drawn anew for each repeat, after one to warm up."""
    found = [Bursts(variant) for variant in variants]
    rng = np.random.default_rng(seed)
    for repeat in range(repeats + 1):
        for position, index in enumerate(rng.permutation(len(variants))):
            burst = found[index]
            before = proxy.thread_cpu(WORKER), routers.cpu()
            made = load.client("flood", [proxy.ports[burst.variant.name]], count, CONCURRENCY, seed + repeat)
            worker, router = proxy.thread_cpu(WORKER) - before[0], routers.cpu() - before[1]
            misroutes, unanswered = load.wrong(burst.variant, made.records)
            burst.misroutes += misroutes
            burst.unanswered += unanswered
            progress((repeat + (position + 1) / len(variants)) / (repeats + 1))
            if repeat == 0:
                continue
            burst.per_second.append(count / made.elapsed_ns * 1e9)
            burst.worker_us.append(worker / count / 1000)
            burst.worker_busy.append(worker / made.elapsed_ns)
            burst.client_us.append(made.client_cpu_ns / count / 1000)
            burst.routers_us.append(router / count / 1000)
    return found


def two_clients(proxy: Proxy, variant: Variant, repeats: int, count: int, seed: int = 1) -> Interval:
    """Returns the rate that two clients at once get, over the rate that one gets, with as many connections under way.

    Near 1, a client more makes no difference: it was not the client that set the pace. Raises LoadError for a
    misroute or a missing reply.
    """
    port = [proxy.ports[variant.name]]
    half = count // 2
    ratios = []
    for repeat in range(repeats):
        alone = load.client("flood", port, 2 * half, CONCURRENCY, seed + repeat)
        both = load.clients("flood", port, half, CONCURRENCY // 2, [seed + repeat, seed + repeat + 1])
        if any(sum(load.wrong(variant, made.records)) for made in (alone, *both)):
            raise load.LoadError(f"{variant.name}: a connection was misrouted, or had no answer")
        ratios.append(alone.elapsed_ns / max(made.elapsed_ns for made in both))
    drawn = bootstrap(np.array(ratios)[:, None], lambda column: np.median(column, keepdims=True))
    return interval(float(np.median(ratios)), drawn)
