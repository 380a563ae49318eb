"""What a request costs Envoy's worker: bursts of requests to all variants in turns, HTTP/1.1 and HTTP/2, one worker and several."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.http import client, proxy
from bench.http.variants import VARIANTS, Variant
from bench.intervals import Interval, bootstrap, interval

PROTOCOLS = (client.HTTP1, client.HTTP2)
CONNECTIONS = 8
"""Connections for each worker."""
_LARGE_SHARE = 0.25
"""Of a burst's requests, where bodies are large."""


@dataclass(frozen=True)
class Effort:
    """How long is measured."""

    rounds: int
    """Bursts to each variant, in each setting."""

    requests: int
    """Requests of a burst."""

    workers: tuple[int, ...] = (1, 4)
    """Numbers of workers that Envoy is started with."""


QUICK = Effort(15, 2000)
FULL = Effort(60, 3000)


@dataclass
class Bursts:
    """One variant's bursts in one setting, a number for each; times are microseconds of a request."""

    variant: Variant
    worker_us: list[float] = field(default_factory=list)
    """Processor time of Envoy's workers."""
    client_us: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    """How many workers were on a processor, on average."""
    requests: int = 0
    wrong: int = 0


@dataclass
class Setting:
    """A protocol and a number of workers, and what was measured there."""

    protocol: str
    workers: int
    bursts: dict[str, Bursts]

    def worker_us(self, name: str) -> Interval:
        """Returns a variant's processor time of a request, the median of the bursts."""
        return _median(self.bursts[name].worker_us)

    def beyond(self, name: str) -> Interval | None:
        """Returns what a variant takes more than the one that it goes beyond: the median of each round's difference."""
        other = self.bursts[name].variant.beyond
        if not other:
            return None
        pairs = zip(self.bursts[name].worker_us, self.bursts[other].worker_us, strict=True)
        return _median([one - another for one, another in pairs])


def _median(values: Sequence[float]) -> Interval:
    drawn = bootstrap(np.array(values)[:, None], lambda column: np.median(column, keepdims=True))
    return interval(float(np.median(values)), drawn)


def _burst(found: Bursts, running: proxy.Proxy, setting: Setting, requests: int, counts: bool) -> None:
    variant = found.variant
    requests = round(requests * _LARGE_SHARE) if variant.name in ("large", "body", "body-floor") else requests
    before = running.worker_cpu()
    made = client.load(variant, running.ports[variant.name], setting.protocol, requests, CONNECTIONS * setting.workers)
    worker = running.worker_cpu() - before
    found.requests += requests
    found.wrong += made.wrong
    if counts:
        found.worker_us.append(worker / requests / 1000)
        found.client_us.append(made.client_cpu_ns / requests / 1000)
        found.busy.append(worker / made.elapsed_ns)


def in_one_envoy(
    variants: Sequence[Variant],
    workers: int,
    effort: Effort,
    progress: Callable[[float], None] = lambda share: None,
    seed: int = 1,
) -> list[Setting]:
    """Measures with one number of workers, each protocol; the order is drawn anew for each round, and the first does not count.

    Raises ClientError if the client does not run, or if a filter does not do what it has to, and EnvoyError.
    """
    settings = [Setting(protocol, workers, {v.name: Bursts(v) for v in variants}) for protocol in PROTOCOLS]
    rng = np.random.default_rng(seed)
    with (
        tempfile.TemporaryDirectory(prefix="bench-http-") as work,
        proxy.run(variants, Path(work), workers) as running,
    ):
        for variant in variants:
            if wrong := client.ask(variant, running.ports[variant.name]):
                raise client.ClientError(wrong)
        bursts = [(setting, variant.name) for setting in settings for variant in variants]
        for round_ in range(effort.rounds + 1):
            for index in rng.permutation(len(bursts)):
                setting, name = bursts[index]
                _burst(setting.bursts[name], running, setting, effort.requests, round_ > 0)
            progress((round_ + 1) / (effort.rounds + 1))
    return settings


def everything(
    effort: Effort, variants: Sequence[Variant] = VARIANTS, progress: Callable[[float], None] = lambda share: None
) -> list[Setting]:
    """Measures every variant in every setting."""
    found: list[Setting] = []
    for index, workers in enumerate(effort.workers):

        def told(share: float, index: int = index) -> None:
            progress((index + share) / len(effort.workers))

        found += in_one_envoy(variants, workers, effort, told)
    return found
