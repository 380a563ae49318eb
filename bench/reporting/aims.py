"""What this project aims at, beside what a report measured: one row for each aim, met or missed by how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.measure.memory import MEGABYTE
from bench.measure.startup import fewest
from bench.reporting import Report, busy
from bench.reporting.table import Table, bounds


@dataclass(frozen=True)
class Aim:
    """A bound for one figure of a report."""

    what: str
    bound: float
    measured: Sequence[float]
    """[value, low, high]; the same three times where there is no interval."""
    digits: int = 1
    at_least: bool = False
    """Whether more is better."""

    @property
    def missed(self) -> float:
        """By how much the value is beyond the bound, to the digits that are shown; 0 if it is not."""
        beyond = self.bound - self.measured[0] if self.at_least else self.measured[0] - self.bound
        return max(0.0, round(beyond, self.digits))


def aims(report: Report) -> Iterator[Aim]:
    """Yields the aims of a report, as far as it measured them."""
    yield from _of_connections(report)
    yield from _of_starts(report)


def _of_connections(report: Report) -> Iterator[Aim]:
    for regime, one in report.get("busy", {"regimes": {}})["regimes"].items():
        yield Aim(f"a connection over the floor's, caches walked over: {regime}", busy.AIM, one["python_to_floor"], 3)
    yield Aim("the same with the log on", 1.04, report["latency_log"]["python_to_floor"], 3)
    if found := report.get("latency_rules"):
        yield Aim("the same with 256 rules", 1.06, found["python_to_floor"], 3)
    bursts = report["throughput"]["python"]
    if beyond := bursts.get("beyond_floor_us"):
        yield Aim("a worker's microseconds over the floor's", 2, beyond)
    if rate := bursts.get("to_floor"):
        yield Aim("connections a second over the floor's, at saturation", 0.97, rate, 3, at_least=True)


def _of_starts(report: Report) -> Iterator[Aim]:
    few = fewest(report["startup"]["python"])
    python, baseline = report["startup"]["python"], report["startup"]["baseline"]

    def over(field: str) -> float:
        return float(python[few][field][0] - baseline[few][field][0])

    yield _exact("MB of memory over an Envoy without Wasm, right after the start", 40, over("resident") / MEGABYTE)
    if rested := report.get("at_rest"):
        kept = rested["python"]["resident"] - rested["baseline"]["resident"]
        yield _exact("the same at rest", 40, kept / MEGABYTE)
    yield _exact("MB for each worker more, likewise", 5, (python["per_worker"] - baseline["per_worker"]) / MEGABYTE)
    yield _exact("MB of the module's file", 2.5, report["modules"]["python"]["total"] / MEGABYTE, 2)
    yield _exact("seconds until Envoy is ready, over one without Wasm", 0.2, over("seconds"), 2)
    yield _exact("seconds of processor time until then, over one without Wasm", 0.25, over("cpu_seconds"), 2)
    if found := report.get("reload"):
        yield Aim(
            "milliseconds of a connection after a trap, a new VM included", 50, [1000 * v for v in found["python"]]
        )


def _exact(what: str, bound: float, value: float, digits: int = 1) -> Aim:
    return Aim(what, bound, [value] * 3, digits)


def tables(report: Report) -> list[Table]:
    """Returns the table of aims."""
    rows = []
    for aim in aims(report):
        exact = aim.measured[1] == aim.measured[2]
        measured = f"{aim.measured[0]:,.{aim.digits}f}" if exact else bounds(aim.measured, aim.digits)
        bound = f"{'at least' if aim.at_least else 'at most'} {aim.bound:g}"
        rows.append([aim.what, bound, measured, f"{aim.missed:,.{aim.digits}f}" if aim.missed else "met"])
    note = "For the TCP filter, as the median with a 95 % interval where there is one. docs/rationale.md says why an aim is missed."
    return [Table("Aims", note, ["", "aim", "measured", "missed by"], rows)]
