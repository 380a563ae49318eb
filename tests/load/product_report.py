"""The report of the whole product's soak: what is wrong, a table, and a picture."""

from __future__ import annotations

import statistics
from pathlib import Path

from envoy.memory import PAGE
from tests.load import report
from tests.load.product import Amounts, Came, Quiet
from tests.load.soak import Sample

MAX_RESIDENT_GROWTH = 1.05
STEADY = 5
"""With fewer changes of the module, their VMs make the curve of memory, and nothing can be said of it."""
WARM, LAST = (0.2, 0.4), (0.8, 1.0)
"""The parts of the time that are compared."""


def complaints(came: Came, amounts: Amounts) -> list[str]:
    """Returns what is wrong, each in one line."""
    soaked = came.soaked
    wrong = [f"odd client: {failure}" for failure in soaked.odd_failures] + soaked.errors + came.ended
    wrong += [f"{path}: {count} requests had a wrong answer" for path, count in came.wrong.items() if count]
    if soaked.lost or soaked.misrouted:
        wrong.append(f"{soaked.lost} connections were lost, {soaked.misrouted} misrouted")
    if soaked.held_to_the_end != soaked.held:
        wrong.append(f"of {soaked.held} held connections {soaked.held_to_the_end} were there at the end")
    if soaked.contexts_created != soaked.contexts_deleted:
        wrong.append(f"{soaked.contexts_created} contexts were created, {soaked.contexts_deleted} deleted")
    made = (soaked.in_a_row, came.configurations, came.modules, came.traps)
    asked = (amounts.connections, amounts.configurations, amounts.modules, amounts.traps)
    if made != asked or sum(came.requests.values()) < amounts.requests:
        wrong.append(f"not all was done: {made} of {asked}, {came.requests}")
    if came.refused or came.reloads < came.traps:
        wrong.append(f"{came.refused} changes were refused, {came.reloads} VMs came after {came.traps} traps")
    return wrong + _of_memory(came) + (_of_growth(came) if amounts.modules >= STEADY else [])


def _of_memory(came: Came) -> list[str]:
    before, after = came.before, came.after
    if before is None or after is None:
        return ["it did not come to rest"]
    wrong = []
    if len(before.memories) != len(after.memories):
        wrong.append(f"{len(before.memories)} linear memories at the start, {len(after.memories)} at the end")
    left = after.contexts - 1, after.waiting, after.callers
    if any(left):
        wrong.append(f"contexts of requests, calls that are waited for, and callers are left: {left}")
    return wrong


def _of_growth(came: Came) -> list[str]:
    warm, last = (_median(came.soaked.samples, part) for part in (WARM, LAST))
    if last > warm * MAX_RESIDENT_GROWTH:
        return [f"resident memory grew, from {warm / report.MEGABYTE:.1f} to {last / report.MEGABYTE:.1f} MiB"]
    return []


def _median(samples: list[Sample], part: tuple[float, float]) -> float:
    end = samples[-1].seconds
    return statistics.median(
        [sample.resident for sample in samples if part[0] * end <= sample.seconds <= part[1] * end]
    )


def table(came: Came) -> dict[str, str]:
    """Returns what was counted, by name."""
    soaked = came.soaked
    warm, last = (_median(soaked.samples, part) / report.MEGABYTE for part in (WARM, LAST))
    return {
        "TCP connections in a row": f"{soaked.in_a_row:,}",
        "held meanwhile, and echoing at the end": f"{soaked.held:,}, {soaked.held_to_the_end:,}",
        "of clients that misbehave": f"{sum(soaked.odd.values()):,}, {len(soaked.odd)} kinds",
        "lost, misrouted": f"{soaked.lost + len(soaked.odd_failures)}, {soaked.misrouted}",
        "HTTP requests": f"{sum(came.requests.values()):,}",
        **{f"on the path `{path}`": f"{count:,}, {came.wrong[path]} wrong" for path, count in came.requests.items()},
        "changes of configuration": str(came.configurations),
        "changes of module": str(came.modules),
        "changes refused": str(came.refused),
        "traps, and new VMs after them": f"{came.traps}, {came.reloads}",
        "connections closed while such a VM was away": str(came.closed),
        "other error lines": str(len(soaked.errors)),
        "contexts of connections created, deleted": f"{soaked.contexts_created:,}, {soaked.contexts_deleted:,}",
        "linear memories at the start": _linear(came.before),
        "linear memories at the end": _linear(came.after),
        "resident, a fifth of the time from 20 % on": f"{warm:.1f} MiB",
        "resident, the last fifth of the time": f"{last:.1f} MiB",
        "seconds": f"{soaked.seconds:.0f}",
    }


def _linear(quiet: Quiet | None) -> str:
    return f"{len(quiet.memories)}, {sum(quiet.memories) // PAGE:,} pages" if quiet else "unknown"


def plot(came: Came, path: Path) -> None:
    """Draws the curve of memory over time into an SVG file."""
    from matplotlib import pyplot, rcParams

    rcParams["svg.hashsalt"] = "product"
    figure, axes = pyplot.subplots(figsize=(8, 4))
    samples = came.soaked.samples
    seconds = [sample.seconds for sample in samples]
    for label, values in (
        ("Envoy, resident", [sample.resident for sample in samples]),
        ("linear memory of all VMs", [sample.linear for sample in samples]),
    ):
        axes.plot(seconds, [value / report.MEGABYTE for value in values], label=label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(
        f"seconds; {came.soaked.in_a_row:,} connections, {sum(came.requests.values()):,} requests,"
        f" {came.configurations + came.modules} changes, {came.traps} traps"
    )
    axes.set_ylabel("MiB")
    axes.legend(loc="lower right")
    axes.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})
