"""The project's own figures: `docs/performance.json`, a report's data, and `docs/performance.md`, which is made of it.

`./bazelw run //bench:report -- --publish` writes both. The page is the only document that states what was measured: others link to it.
A test makes the page of the data again, so that nobody edits it by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.reporting import Report
from bench.reporting.render import as_markdown, tables

DATA, PAGE = "docs/performance.json", "docs/performance.md"

_DRAWN = ("distribution", "quantiles")
"""What only plots are drawn from; the page has none."""

_HEAD = """\
# Performance

<!-- Generated from performance.json by `./bazelw run //bench:report -- --publish`: do not edit. -->

These figures come from one run on one machine. Ratios travel badly between processors, and times travel worse: measure on yours with
`./bazelw run //bench:report -- --quick`. [`bench/README.md`](../bench/README.md) has the method.
"""


def _without_plots(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_plots(value) for key, value in data.items() if key not in _DRAWN}
    return [_without_plots(value) for value in data] if isinstance(data, list) else data


def page(report: Report) -> str:
    """Returns the page of a report's data."""
    run = "a quick run" if report["quick"] else "a full run"
    machine = f"Measured {report['time'][:10]}, {run}, on {report['machine']['processor']}."
    return "\n\n".join([_HEAD + "\n" + machine, *report["verdict"], *as_markdown(tables(report))]) + "\n"


def publish_part(name: str, part: Report, sentences: Callable[[Report], list[str]], workspace: Path) -> None:
    """Puts one part, measured alone, into the published report, and what it says into the verdict."""
    report = json.loads((workspace / DATA).read_text(encoding="utf-8"))
    said = sentences(report)
    report[name] = part
    report["verdict"] = [text for text in report["verdict"] if text not in said] + sentences(report)
    publish(report, workspace)


def publish(report: Report, workspace: Path) -> None:
    """Writes data and page of a report into the workspace."""
    (workspace / DATA).write_text(json.dumps(_without_plots(report), indent=1) + "\n")
    (workspace / PAGE).write_text(page(report))
