"""The busy regime in the report: what a connection takes where something else uses the worker's caches."""

from __future__ import annotations

from typing import Any

from bench.intervals import compare
from bench.measure import busy
from bench.reporting import Report
from bench.reporting.table import Table, bounds
from bench.variants import BASELINE, FLOOR, PYTHON

AIM = 1.03
"""What the filter is held to, as a ratio to the floor."""


def figures(measured: busy.Busy) -> dict[str, Any]:
    """Returns each regime's medians in microseconds and as ratios to the baseline, and the filter's to the floor."""
    names = [variant.name for variant in measured.variants]
    baseline, floor, python = (names.index(variant.name) for variant in (BASELINE, FLOOR, PYTHON))
    regimes = {}
    for regime, table in measured.tables.items():
        found = compare(table / 1000, baseline)
        to_floor = compare(table[:, [floor, python]], 0).ratios[1]["p50"]
        regimes[regime] = {
            "values": {name: one["p50"].as_json() for name, one in zip(names, found.values, strict=True)},
            "ratios": {name: one["p50"].as_json() for name, one in zip(names, found.ratios, strict=True)},
            "python_to_floor": to_floor.as_json(),
        }
    return {
        "cache": measured.cache,
        "regimes": regimes,
        "rounds": len(next(iter(measured.tables.values()))),
        "connections": sum(table.size for table in measured.tables.values()),
        "misroutes": measured.misroutes,
        "unanswered": measured.unanswered,
    }


def tables(report: Report) -> list[Table]:
    """Returns the table of all regimes, of a report that has them."""
    found = report.get("busy")
    if not found:
        return []
    names = list(next(iter(found["regimes"].values()))["values"])
    rows = [
        [name, *(bounds(one[kind][name], places) for one in found["regimes"].values() for kind, places in _KINDS)]
        for name in names
    ]
    note = (
        f"Medians of {found['rounds']:,} interleaved rounds with 95 % intervals: microseconds, and the ratio to the baseline. Before "
        "each connection a thread on the worker's processor walks over nothing, over as many bytes as the second-level cache has "
        f"({found['cache'] >> 10:,} KiB), or over twice as many. Worker and thread are kept on one processor, the client off it."
    )
    head = ["", *(f"{regime}: {title}" for regime in found["regimes"] for title in ("p50 µs", "p50 ratio"))]
    return [Table("Latency where caches are in use", note, head, rows)]


_KINDS = (("values", 1), ("ratios", 3))


def sentences(report: Report) -> list[str]:
    """Returns the verdict about the regimes: whether the filter is where it is meant to be, or by how much it is not."""
    found = report.get("busy")
    if not found:
        return []
    said = [f"{regime}: {bounds(one['python_to_floor'], 3)}" for regime, one in found["regimes"].items()]
    return [
        "Where something else uses the worker's caches between connections, the filter takes so many times as long as the floor, by "
        f"what is walked over: {', '.join(said)}. {_judged(found)} {_placed(found)}"
    ]


def _placed(found: Report) -> str:
    """Says where the filter's median is in the first plot, beside the floor's interval."""
    beyond = {}
    for regime, one in found["regimes"].items():
        (_, low, high), median = one["ratios"][FLOOR.name], one["ratios"][PYTHON.name][0]
        beyond[regime] = max(low - median, median - high, 0)
    outside = [f"{regime} by {by:.3f}" for regime, by in beyond.items() if by]
    if not outside:
        return "In the first plot the filter is inside of the floor's interval in each regime."
    return (
        f"In the first plot the filter is outside of the floor's interval, in times tcp_proxy alone: {', '.join(outside)}. What is left "
        "is Python's interpreter, whose cache lines and branches the floor does not have; docs/rationale.md says what was tried."
    )


def _judged(found: Report) -> str:
    beyond = {regime: round(one["python_to_floor"][0] - AIM, 3) for regime, one in found["regimes"].items()}
    missed = [f"{regime} by {by:.3f}" for regime, by in beyond.items() if by > 0]
    return f"The aim of {AIM} is missed: {', '.join(missed)}." if missed else f"That is within the aim of {AIM}."
