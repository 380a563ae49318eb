"""A soak's report for people: a table, and the curve of memory as text and as a picture."""

from __future__ import annotations

from pathlib import Path

from envoy.memory import PAGE
from tests.load.soak import Soaked

MEGABYTE = 1 << 20
_CURVE_LINES = 20


def table(report: Soaked) -> dict[str, str]:
    """Returns what was counted, by name."""
    warm = report.warm
    return {
        "connections in a row": f"{report.in_a_row:,}",
        "held meanwhile": f"{report.held:,}",
        "still echoing at the end": f"{report.held_to_the_end:,}",
        **{kind: f"{count:,}" for kind, count in report.odd.items()},
        "lost": str(report.lost + len(report.odd_failures)),
        "misrouted": str(report.misrouted),
        "error lines": str(len(report.errors)),
        "contexts created": f"{report.contexts_created:,}",
        "contexts deleted": f"{report.contexts_deleted:,}",
        "linear memory of all VMs": _range([sample.linear // PAGE for sample in warm], "pages"),
        "resident memory": _range([sample.resident // MEGABYTE for sample in warm], "MiB"),
        "seconds": f"{report.seconds:.0f}",
    }


def _range(values: list[int], unit: str) -> str:
    low, high = min(values), max(values)
    return f"{low:,} {unit}" if low == high else f"{low:,} to {high:,} {unit}"


def curve(report: Soaked) -> list[str]:
    """Returns the curve of memory, some twenty lines of it."""
    step = max(1, len(report.samples) // _CURVE_LINES)
    lines = [f"{'seconds':>8} {'connections':>12} {'resident MiB':>13} {'linear pages':>13}"]
    for sample in report.samples[::step]:
        resident, pages = sample.resident / MEGABYTE, sample.linear // PAGE
        lines.append(f"{sample.seconds:8.0f} {sample.connections:12,} {resident:13.1f} {pages:13,}")
    return lines


def plot(report: Soaked, path: Path) -> None:
    """Draws the curve of memory into an SVG file."""
    from matplotlib import pyplot, rcParams

    rcParams["svg.hashsalt"] = "soak"
    figure, axes = pyplot.subplots(figsize=(8, 4))
    connections = [sample.connections for sample in report.samples]
    axes.plot(connections, [sample.resident / MEGABYTE for sample in report.samples], label="Envoy, resident")
    axes.plot(connections, [sample.linear / MEGABYTE for sample in report.samples], label="linear memory of all VMs")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"connections in a row, beside {report.held:,} held ones")
    axes.set_ylabel("MiB")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
