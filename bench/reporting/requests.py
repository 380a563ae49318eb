"""HTTP's part of the report: figures, tables, and what they say in plain words. A report without it has none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.http import measure
from bench.http.variants import VARIANTS
from bench.reporting import Report
from bench.reporting.table import Table, bounds


def _setting(setting: measure.Setting) -> dict[str, Any]:
    found = {}
    for name, bursts in setting.bursts.items():
        beyond = setting.beyond(name)
        found[name] = {
            "worker_us": setting.worker_us(name).as_json(),
            "beyond_us": beyond.as_json() if beyond else None,
            "client_us": float(np.median(bursts.client_us)),
            "busy": float(np.median(bursts.busy)),
        }
    plural = "s" if setting.workers > 1 else ""
    return {"name": f"{setting.protocol}, {setting.workers} worker{plural}", "variants": found}


def figures(settings: Sequence[measure.Setting], steps: Mapping[str, int], effort: measure.Effort) -> dict[str, Any]:
    """Returns the report's data: a figure is [value, low, high], in microseconds."""
    bursts = [bursts for setting in settings for bursts in setting.bursts.values()]
    return {
        "rounds": effort.rounds,
        "requests": sum(one.requests for one in bursts),
        "wrong": sum(one.wrong for one in bursts),
        "variants": {v.name: {"title": v.title, "beyond": v.beyond, "at_most_us": v.at_most_us} for v in VARIANTS},
        "settings": [_setting(setting) for setting in settings],
        "steps": dict(steps),
    }


def tables(report: Report) -> list[Table]:
    """Returns the tables of a report's data."""
    http = report.get("http", {})
    if "settings" not in http:
        return [Table("HTTP filters", f"Not measured: {http['error']}", [], [])] if http else []
    return [_compared(http), _beyond(http), _whole(http)]


def _compared(http: Report) -> Table:
    rows = [[name, v["title"], v["beyond"]] for name, v in http["variants"].items()]
    note = "Each on a listener of its own in one Envoy, which answers the request itself. A request has ten headers."
    return Table("HTTP filters: what is compared", note, ["", "what it is", "goes beyond"], rows, text=True)


def _beyond(http: Report) -> Table:
    rows = []
    for name, variant in http["variants"].items():
        if not variant["beyond"]:
            continue
        most = variant["at_most_us"]
        cells = [bounds(setting["variants"][name]["beyond_us"]) for setting in http["settings"]]
        steps = f"{http['steps'][name]:,}" if name in http["steps"] else ""
        rows.append([name, variant["beyond"], *cells, "" if most is None else f"{most:,.1f}", steps])
    note = (
        "Microseconds of a worker's processor time that a request takes more than one of the second column, median of "
        f"{http['rounds']} interleaved bursts, with 95 % intervals. Beside it: what this project aims at, and the WebAssembly "
        "instructions of a request, which are the same on every machine."
    )
    head = ["", "beyond", *(setting["name"] for setting in http["settings"]), "aim", "instructions"]
    return Table("HTTP filters: what one adds to a request", note, head, rows)


def _whole(http: Report) -> Table:
    rows = [
        [name, *(bounds(setting["variants"][name]["worker_us"]) for setting in http["settings"])]
        for name in http["variants"]
    ]
    note = "Microseconds of the workers' processor time for a request, by the scheduler's own accounting, median of the bursts."
    head = ["", *(setting["name"] for setting in http["settings"])]
    return Table("HTTP filters: a request's processor time", note, head, rows)


def sentences(report: Report) -> list[str]:
    """Returns what the data says, in plain words."""
    http = report.get("http", {})
    if "settings" not in http:
        return []
    if http["wrong"]:
        return [
            f"Not correct: {http['wrong']:,} of {http['requests']:,} requests through HTTP filters had another answer than they had to."
        ]
    return [
        f"All {http['requests']:,} requests through HTTP filters had the answer that they had to. "
        + " ".join(_said(http))
    ]


def _said(http: Report) -> list[str]:
    """One sentence for each variant with an aim, in the first setting."""
    first = http["settings"][0]
    made = [f"With {first['name']}, in microseconds of a worker's time:"]
    for name, variant in http["variants"].items():
        if variant["at_most_us"] is not None:
            found, most = first["variants"][name]["beyond_us"], variant["at_most_us"]
            reached = "within" if found[0] <= most else "more than"
            made.append(f"{name} takes {found[0]:.1f} more than {variant['beyond']}, {reached} the aim of {most:.1f}.")
    return made


def as_text(http: Report) -> str:
    """Returns the two tables of figures for a terminal."""
    return "\n".join(table.as_text() for table in (_beyond(http), _whole(http)))
