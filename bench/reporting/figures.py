"""From measurements to the report's data: JSON in which a figure is [value, low, high], in microseconds or as a ratio.

What must be kept in sync: render, plots, verdict and compare read these keys, and `compare.FORMAT` changes with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.intervals import STATISTICS, Values, bootstrap, compare, interval
from bench.measure import latency, open_loop, startup, throughput
from bench.variants import BASELINE, FLOOR, PYTHON, Variant

Draft = dict[str, Any]
"""A report, or a part of it, that is being made."""

COUNTS = ("connections", "misroutes", "unanswered")

# The latencies that the distribution's plots are drawn from.
GRID = [*np.linspace(0, 0.98, 99), *(1 - np.geomspace(0.02, 0.0002, 41))]


def _statistics(names: Sequence[str], table: Values, seed: int = 1) -> dict[str, Any]:
    """Values in microseconds and ratios to the baseline, each [value, low, high]."""
    found = compare(table / 1000, names.index(BASELINE.name), seed=seed)
    return {
        "values": {n: {s: v[s].as_json() for s in STATISTICS} for n, v in zip(names, found.values, strict=True)},
        "ratios": {n: {s: r[s].as_json() for s in STATISTICS} for n, r in zip(names, found.ratios, strict=True)},
    }


def _to_other(names: Sequence[str], table: Values, other: str, subject: str) -> list[float]:
    found = compare(table[:, [names.index(other), names.index(subject)]], 0)
    return found.ratios[1]["p50"].as_json()


def of_latency(measured: latency.Rounds, subject: Variant = PYTHON) -> Draft:
    """Returns values, ratios and the distribution of an interleaved run; `subject` is what is held to the floor."""
    names = [variant.name for variant in measured.variants]
    made = _statistics(names, measured.table)
    made["python_to_floor"] = _to_other(names, measured.table, FLOOR.name, subject.name)
    table = measured.table / 1000
    made |= {
        "rounds": len(table),
        "quantiles": GRID,
        "distribution": {name: list(np.nanquantile(table[:, i], GRID)) for i, name in enumerate(names)},
        "misroutes": sum(measured.misroutes.values()),
        "unanswered": sum(measured.unanswered.values()),
        "connections": table.size,
    }
    return made


def of_bursts(found: Sequence[throughput.Bursts]) -> Draft:
    """Returns connections a second at saturation, and who was how busy with them."""
    made: Draft = {}
    floor = next((burst for burst in found if burst.variant == FLOOR), None)
    for burst in found:
        made[burst.variant.name] = {
            "per_second": burst.median(burst.per_second).as_json(),
            "to_floor": _over(burst, floor),
            "worker_us": burst.median(burst.worker_us).as_json(),
            "beyond_floor_us": _beyond(burst, floor),
            "worker_busy": float(np.median(burst.worker_busy)),
            "client_us": float(np.median(burst.client_us)),
            "routers_us": float(np.median(burst.routers_us)),
        }
    return made


def _over(burst: throughput.Bursts, floor: throughput.Bursts | None) -> list[float] | None:
    """Returns the rate over the floor's, round by round; None if the floor was not measured."""
    if floor is None:
        return None
    return burst.median([a / b for a, b in zip(burst.per_second, floor.per_second, strict=True)]).as_json()


def _beyond(burst: throughput.Bursts, floor: throughput.Bursts | None) -> list[float] | None:
    """Returns the worker's microseconds more than the floor's, round by round; None if the floor was not measured."""
    if floor is None:
        return None
    return burst.median([a - b for a, b in zip(burst.worker_us, floor.worker_us, strict=True)]).as_json()


def sum_of_bursts(found: Sequence[throughput.Bursts], connections: int) -> Draft:
    """Returns how many connections the bursts made, so many each, and how many of them went wrong."""
    return {
        "connections": len(found) * connections,
        "misroutes": sum(burst.misroutes for burst in found),
        "unanswered": sum(burst.unanswered for burst in found),
    }


def of_rate(rate: open_loop.Rate, names: Sequence[str]) -> Draft:
    """Returns what an open loop at one rate saw."""
    return _statistics(names, rate.table) | {
        "share": rate.share,
        "per_second": rate.per_second,
        "late_p99_us": rate.late_p99_ns / 1000,
        "worker_busy": rate.worker_busy,
        "misroutes": rate.misroutes,
        "unanswered": rate.unanswered,
        "connections": rate.table.size,
    }


def of_guest(times: Mapping[str, Sequence[float]]) -> Draft:
    """Returns the median of each kind of time."""
    return {
        name: interval(
            float(np.median(values)),
            bootstrap(np.array(values)[:, None], lambda column: np.median(column, keepdims=True)),
        ).as_json()
        for name, values in times.items()
    }


def of_starts(runs: Mapping[tuple[str, int], Sequence[startup.Start]]) -> Draft:
    """Returns the median, least and greatest of the starts of each variant with each number of workers, and what a worker adds."""
    made: Draft = {}
    for (name, workers), starts in runs.items():
        made.setdefault(name, {})[str(workers)] = {field: _spread(starts, field) for field in _OF_A_START}
    few, many = min(workers for _, workers in runs), max(workers for _, workers in runs)
    for by_workers in made.values():
        grown = by_workers[str(many)]["anonymous"][0] - by_workers[str(few)]["anonymous"][0]
        by_workers["per_worker"] = grown / (many - few)
    return made


_OF_A_START = ("seconds", "cpu_seconds", "resident", "anonymous", "peak")


def _spread(starts: Sequence[startup.Start], field: str) -> list[float]:
    values = [getattr(start, field) for start in starts]
    return [float(np.median(values)), float(min(values)), float(max(values))]


def sum_of_starts(runs: Mapping[tuple[str, int], Sequence[startup.Start]]) -> Draft:
    """Returns how many connections the starts made, and how many of them went wrong."""
    return {count: sum(getattr(one, count) for starts in runs.values() for one in starts) for count in COUNTS}
