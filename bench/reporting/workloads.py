"""The workloads' part of the report: figures, a table, and what they say in plain words. A report without it has none."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.intervals import RESAMPLES, Values, block_indices, interval
from bench.reporting import Report
from bench.reporting.table import Table, bounds
from bench.workloads.measure import DESKTOP, MODULE, Measured
from bench.workloads.suite import WORKLOADS

TITLE = "Python in the module and on a desktop"


def figures(measured: Measured) -> dict[str, Any]:
    """Returns the report's data: a figure is [value, low, high], in microseconds or as a ratio to the desktop's."""
    sides = list(measured.sides)
    values, drawn = _medians(measured.table / 1000)
    # Round by round: what disturbs the machine for longer than some milliseconds cancels out.
    ratios, drawn_ratios = _medians(measured.table / measured.table[..., [sides.index(DESKTOP)]])
    # The mean of ratios is a geometric one.
    together, drawn_together = (np.exp(np.log(found).mean(axis=-2)) for found in (ratios, drawn_ratios))
    of_each = {}
    for row, workload in enumerate(WORKLOADS):
        of_each[workload.name] = {
            "about": workload.about,
            "us": {s: interval(values[row, i], drawn[:, row, i]).as_json() for i, s in enumerate(sides)},
            "ratios": {s: interval(ratios[row, i], drawn_ratios[:, row, i]).as_json() for i, s in enumerate(sides)},
        }
    return {
        "rounds": len(measured.table),
        "sides": measured.sides,
        "workloads": of_each,
        "together": {s: interval(together[i], drawn_together[:, i]).as_json() for i, s in enumerate(sides)},
    }


def _medians(table: Values) -> tuple[Values, Values]:
    """Returns the medians of a table's rounds, and those of each resample; whole rounds are drawn."""
    rng = np.random.default_rng(1)
    drawn = [np.median(table[block_indices(len(table), rng)], axis=0) for _ in range(RESAMPLES)]
    return np.median(table, axis=0), np.array(drawn)


def tables(report: Report) -> list[Table]:
    """Returns the table of a report's data."""
    found = report.get("workloads")
    if not found:
        return []
    if "error" in found:
        return [Table(TITLE, f"Not measured: {found['error']}.", [], [])]
    over = [side for side in found["sides"] if side != DESKTOP]
    rows = [
        [
            one["about"],
            *(f"{one['us'][s][0]:,.2f}" for s in found["sides"]),
            *(bounds(one["ratios"][s], 2) for s in over),
        ]
        for one in found["workloads"].values()
    ]
    blank = [""] * len(found["sides"])
    rows.append(["geometric mean", *blank, *(bounds(found["together"][s], 2) for s in over)])
    note = (
        f"Microseconds of one run, median of {found['rounds']} interleaved rounds; ratios to the desktop have 95 % intervals. The module "
        "has its cold tier, and untiered is the same without one: all is compiled. "
        + " ".join(
            f"{side.capitalize()}: {_called(about)}." for side, about in found["sides"].items() if side != over[-1]
        )
    )
    head = ["", *(f"{side} µs" for side in found["sides"]), *(f"{side} over {DESKTOP}" for side in over)]
    return [Table(TITLE, note, head, rows)]


def _called(about: list[str]) -> str:
    return f"{about[0]} {about[1]} ({about[2]})"


def sentences(report: Report) -> list[str]:
    """Returns what the data says, in plain words."""
    found = report.get("workloads", {})
    if "together" not in found:
        return []
    ratios = {name: one["ratios"][MODULE][0] for name, one in found["workloads"].items()}
    least, most = min(ratios, key=lambda name: ratios[name]), max(ratios, key=lambda name: ratios[name])
    return [
        f"Python itself takes {bounds(found['together'][MODULE], 2)} times as long in the module as on a desktop's "
        f"{_called(found['sides'][DESKTOP])}, over {len(ratios)} workloads of filters: from {ratios[least]:.2f} ({least}) to "
        f"{ratios[most]:.2f} ({most})."
    ]
