"""Quantiles, ratios and their confidence intervals, by a bootstrap that assumes no distribution.

A machine's noise comes in bursts, so that neighbouring connections are not independent: whole blocks of rounds are drawn, not single
ones (the circular block bootstrap). All variants of a run are drawn alike, since a round has one connection of each: what disturbed a
round disturbed all of it, and cancels out in the ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Statistic = Callable[[Values], Values]

CONFIDENCE = 0.95
RESAMPLES = 1000
BLOCK = 50
"""Rounds in a block: some tens of milliseconds, longer than a scheduler's disturbance."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
STATISTICS = (*QUANTILES, "mean")


@dataclass(frozen=True)
class Interval:
    """A value and the bounds between which it lies with CONFIDENCE."""

    value: float
    low: float
    high: float

    def as_json(self) -> list[float]:
        """Returns [value, low, high]."""
        return [self.value, self.low, self.high]

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def statistics(values: Values) -> Values:
    """Returns STATISTICS of the values, in order; NaN marks a connection without a reply and is left out, if there is any other."""
    kept = values[~np.isnan(values)]
    if not kept.size:
        return np.full(len(STATISTICS), np.nan)
    return np.append(np.quantile(kept, list(QUANTILES.values())), kept.mean())


def block_indices(count: int, rng: np.random.Generator, block: int = BLOCK) -> npt.NDArray[np.int64]:
    """Returns `count` row numbers, drawn as blocks of consecutive ones; the first follows the last, so each is as likely as the others."""
    block = max(1, min(block, count // 10))
    starts = rng.integers(0, count, -(-count // block))
    return ((starts[:, None] + np.arange(block)) % count).ravel()[:count]


def bootstrap(
    table: Values, statistic: Statistic, resamples: int = RESAMPLES, seed: int = 1
) -> npt.NDArray[np.float64]:
    """Returns the statistic of each column for each resample of the rows: resamples x columns x what the statistic has."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        rows = table[block_indices(len(table), rng)]
        drawn.append([statistic(rows[:, column]) for column in range(table.shape[1])])
    return np.array(drawn)


def interval(value: float, drawn: npt.NDArray[Any]) -> Interval:
    """Returns a value with the central CONFIDENCE of what the bootstrap drew for it."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(float(value), float(low), float(high))


@dataclass(frozen=True)
class Comparison:
    """Each column's STATISTICS and their ratios to one of the columns, with intervals: index by column, then by statistic's name."""

    values: list[dict[str, Interval]]
    ratios: list[dict[str, Interval]]


def compare(table: Values, reference: int, resamples: int = RESAMPLES, seed: int = 1) -> Comparison:
    """Compares the columns of a table with a row for each round; `reference` is the column that ratios are to."""
    found = np.array([statistics(table[:, column]) for column in range(table.shape[1])])
    drawn = bootstrap(table, statistics, resamples, seed)
    values, ratios = [], []
    for column in range(table.shape[1]):
        values.append({n: interval(found[column, i], drawn[:, column, i]) for i, n in enumerate(STATISTICS)})
        ratio, drawn_ratio = found[column] / found[reference], drawn[:, column] / drawn[:, reference]
        ratios.append({n: interval(ratio[i], drawn_ratio[:, i]) for i, n in enumerate(STATISTICS)})
    return Comparison(values, ratios)
