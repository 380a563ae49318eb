"""Connect to first byte of each variant, for pytest-benchmark: its table, JSON, comparison and histogram.

pytest-benchmark runs one benchmark after the other, and so would compare a quiet minute with a busy one. Here one interleaved run comes
first; each variant's benchmark then goes through its connections on a clock that the C client set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.intervals import STATISTICS, Comparison, compare
from bench.measure import latency
from bench.measure.conftest import CHOSEN, ROUNDS, Bench
from bench.variants import BASELINE, Variant

NAMES = [variant.name for variant in CHOSEN]


class ClientClock:
    """The timer that pytest-benchmark reads: it stands still but for what a connection took."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


CLOCK = ClientClock()


@pytest.fixture(scope="session")
def rounds(bench: Bench) -> latency.Rounds:
    measured = latency.interleaved(bench.proxy, CHOSEN, ROUNDS)
    if out := os.environ.get("BENCH_ROUNDS_OUT"):
        latency.save(measured, out)
    return measured


@pytest.fixture(scope="session")
def comparison(rounds: latency.Rounds) -> Comparison:
    return compare(rounds.table, NAMES.index(BASELINE.name))


@pytest.mark.benchmark(group="connect to first byte", timer=CLOCK)
@pytest.mark.parametrize("variant", CHOSEN, ids=NAMES)
def test_connect_to_first_byte(
    benchmark: BenchmarkFixture, rounds: latency.Rounds, comparison: Comparison, variant: Variant
) -> None:
    column = NAMES.index(variant.name)
    took = rounds.table[:, column]
    took = took[~np.isnan(took)]
    connections: Iterator[float] = iter(took / 1e9)

    def connect() -> None:
        CLOCK.seconds += next(connections)

    benchmark.pedantic(connect, rounds=len(took))  # type: ignore[no-untyped-call]
    for name in STATISTICS:
        benchmark.extra_info[f"{name}_us"] = [bound / 1000 for bound in comparison.values[column][name].as_json()]
        benchmark.extra_info[f"{name}_ratio"] = comparison.ratios[column][name].as_json()
    # Correct, however fast: every connection had a reply, and from the right router.
    assert rounds.misroutes[variant.name] == 0
    assert rounds.unanswered[variant.name] == 0
    assert len(took) == ROUNDS
    assert took.min() > 0


def test_every_round_has_its_own_order_and_both_parities(bench: Bench) -> None:
    first, second = (latency.interleaved(bench.proxy, CHOSEN, 20, seed) for seed in (1, 2))
    assert first.table.shape == second.table.shape == (20, len(CHOSEN))
    assert not any(first.misroutes.values()) and not any(second.misroutes.values())
