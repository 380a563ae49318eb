"""Says what got slower or bigger between two reports: `./bazelw run //bench:compare -- OLD.json NEW.json`.

Latencies and the worker's time are compared as ratios to each run's own baseline, all else as it is. A difference counts where the
intervals of the two runs do not meet, and where it is more than a hair. Sizes have no noise, and start-up's spread is that of its few
starts. Where pytest-benchmark's own files lie beside the reports, its comparison of the times
comes first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.reporting import Report
from bench.variants import BASELINE, NAMED, RULES
from bench.workloads.measure import DESKTOP

FORMAT = 1

HAIR = 0.01
"""A relative difference smaller than this is no news, however sure."""

CLOCK = 0.05
"""Seconds of a start that are no news: the kernel counts hundredths, and Envoy is asked every fiftieth whether it is ready."""


class ReportError(Exception):
    """A file that is no report which can be compared; the text says why."""


@dataclass
class Difference:
    """One number of both reports, as [value, low, high]."""

    what: str
    unit: str
    old: Sequence[float]
    new: Sequence[float]

    @property
    def change(self) -> float:
        """The relative change: 0.1 is 10 % more."""
        return self.new[0] / self.old[0] - 1 if self.old[0] else float(bool(self.new[0]))

    @property
    def certain(self) -> bool:
        """Whether the intervals do not meet, and the change is more than a hair."""
        apart = self.new[1] > self.old[2] or self.new[2] < self.old[1]
        return apart and abs(self.change) > HAIR

    @property
    def worse(self) -> bool:
        """Whether it is certain, and for the worse."""
        return self.certain and self.change > 0

    def __str__(self) -> str:
        old, new = (
            f"{v[0]:,.4g} [{v[1]:,.4g}, {v[2]:,.4g}]" if v[1] != v[2] else f"{v[0]:,.0f}" for v in (self.old, self.new)
        )
        return f"{self.what:<44} {old:>28} -> {new:<28} {self.change:+7.1%} {self.unit}"


def read(file: Path) -> Report:
    """Reads a report.json; raises ReportError if it is none, or of another format."""
    try:
        report = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ReportError(f"{file} is no report: {error}") from None
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise ReportError(f"{file} is no report of format {FORMAT}; run //bench:report anew")
    return report


def differences(old: Report, new: Report) -> Iterator[Difference]:
    """Yields what both reports measured, interesting or not."""
    for key, title in (("latency", ""), ("latency_log", ", log on")):
        yield from _of_latency(old[key]["ratios"], new[key]["ratios"], title)
    yield from _of_latency(_of_rules(old), _of_rules(new), ", 256 rules")
    yield from _of_busy(old.get("busy", {}), new.get("busy", {}))
    yield from _of_instructions(old.get("instructions", {}), new.get("instructions", {}))
    yield from _of_throughput(old["throughput"], new["throughput"])
    for engine in _common(old["guest"], new["guest"]):
        yield from _of_guest(old["guest"][engine], new["guest"][engine], engine)
    yield from _of_starts(old["startup"], new["startup"])
    yield from _of_rest(old.get("at_rest", {}), new.get("at_rest", {}))
    yield from _of_reloads(old.get("reload", {}), new.get("reload", {}))
    yield from _of_plugins(old.get("plugins", []), new.get("plugins", []))
    yield from _of_workloads(old.get("workloads", {}), new.get("workloads", {}))
    yield from _of_requests(old.get("http", {}), new.get("http", {}))
    yield from _of_modules(old["modules"], new["modules"])


def _of_rules(report: Report) -> Report:
    """Returns the ratios with 256 rules. In a report that has no rules without names, those that it has are the named ones."""
    ratios: Report = report.get("latency_rules", {}).get("ratios", {})
    if RULES.name in ratios and NAMED.name not in ratios:
        return {NAMED.name if name == RULES.name else name: found for name, found in ratios.items()}
    return ratios


def _of_latency(old: Report, new: Report, title: str) -> Iterator[Difference]:
    for name in _proxied(old, new):
        for statistic in ("p50", "p90", "p99", "mean"):
            what, unit = f"{name}: {statistic}{title}", "of its ratio to the baseline"
            yield Difference(what, unit, old[name][statistic], new[name][statistic])


def _of_busy(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    before, after = old.get("regimes", {}), new.get("regimes", {})
    for regime in _common(before, after):
        ratios = before[regime]["ratios"], after[regime]["ratios"]
        for name in _proxied(*ratios):
            what = f"{name}: p50, caches walked over: {regime}"
            yield Difference(what, "of its ratio to the baseline", ratios[0][name], ratios[1][name])


def _of_instructions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in _common(old, new):
        yield Difference(f"{name}: instructions of a connection", "", [old[name]["sum"]] * 3, [new[name]["sum"]] * 3)


def _of_throughput(old: Report, new: Report) -> Iterator[Difference]:
    for name in _proxied(old, new):
        # Over the baseline of the same run: the machine may be another.
        times = [_over(found[name]["worker_us"], found[BASELINE.name]["worker_us"]) for found in (old, new)]
        what, unit = f"{name}: worker's time per connection", "of its ratio to the baseline"
        yield Difference(what, unit, times[0], times[1])


def _of_guest(old: Report, new: Report, engine: str) -> Iterator[Difference]:
    for name in _common(old, new):
        yield Difference(f"{name}: guest time in {engine}", "ns", _sum(old[name]), _sum(new[name]))


def _of_starts(old: Report, new: Report) -> Iterator[Difference]:
    for name in _common(old, new):
        for workers in filter(str.isdigit, _common(old[name], new[name])):
            for field, unit in (("seconds", "s"), ("cpu_seconds", "s"), ("resident", "bytes"), ("anonymous", "bytes")):
                what, spreads = f"{name}: {field}, workers: {workers}", (old[name][workers], new[name][workers])
                yield Difference(what, unit, _spread(spreads[0][field], unit), _spread(spreads[1][field], unit))


def _of_modules(old: Report, new: Report) -> Iterator[Difference]:
    for name in _common(old, new):
        for field in ("total", "deflated", "pages"):
            unit = "pages" if field == "pages" else "bytes"
            yield Difference(f"{name}: module, {field}", unit, [old[name][field]] * 3, [new[name][field]] * 3)


def _proxied(old: Report, new: Report) -> list[str]:
    """Returns the variants that both have, without those that the others are compared with."""
    return [name for name in _common(old, new) if name not in ("direct", BASELINE.name)]


def _of_requests(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Yields what both reports measured of HTTP."""
    before, after = ({s["name"]: s["variants"] for s in found.get("settings", [])} for found in (old, new))
    for setting in _common(before, after):
        for name in _common(before[setting], after[setting]):
            pair = before[setting][name]["beyond_us"], after[setting][name]["beyond_us"]
            if all(pair):
                yield Difference(f"{name}: {setting}, beyond what it is held to", "µs of a request", *pair)
    before, after = old.get("steps", {}), new.get("steps", {})
    for name in _common(before, after):
        yield Difference(f"{name}: instructions of a request", "", [before[name]] * 3, [after[name]] * 3)


def _of_rest(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in _common(old, new):
        spreads = (_spread([found[name]["resident"]] * 3, "bytes") for found in (old, new))
        yield Difference(f"{name}: resident at rest", "bytes", *spreads)


def _of_reloads(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for name in _common(old, new):
        yield Difference(f"{name}: a connection after a trap", "s", old[name], new[name])


def _of_plugins(old: Sequence[Report], new: Sequence[Report]) -> Iterator[Difference]:
    before, after = ({one["title"]: one for one in found if not one["error"]} for found in (old, new))
    for title in _common(before, after):
        for field, unit in (("seconds", "s"), ("cpu_seconds", "s"), ("resident", "bytes"), ("anonymous", "bytes")):
            # One start each, of which no spread is known.
            spreads = [_spread([found[title][field]] * 3, unit) for found in (before, after)]
            yield Difference(f"{title}: {field}", unit, *spreads)


def _of_workloads(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    before, after = old.get("workloads", {}), new.get("workloads", {})
    for name in _common(before, after):
        ratios = before[name]["ratios"], after[name]["ratios"]
        for side in _common(*ratios):
            if side != DESKTOP:
                yield Difference(f"{name}: {side}", "of its ratio to a desktop's", ratios[0][side], ratios[1][side])


def _common(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in old if name in new]


def _over(bounds: Sequence[float], base: Sequence[float]) -> list[float]:
    """The ratio of two independent measurements, with bounds that are wide enough for both."""
    return [bounds[0] / base[0], bounds[1] / base[2], bounds[2] / base[1]]


def _sum(times: Mapping[str, Sequence[float]]) -> list[float]:
    return [sum(bounds[at] for bounds in times.values()) for at in range(3)]


def _spread(found: Sequence[float], unit: str) -> list[float]:
    """The spread of a few starts, widened to a tenth either way, as of a single one nothing is known, and to what a clock can tell."""
    median, low, high = found
    about = max(median * 0.1, CLOCK if unit == "s" else 0)
    return [median, min(low, median - about), max(high, median + about)]


def _print(title: str, found: Sequence[Difference]) -> None:
    if found:
        print(f"\n{title}")
        for difference in sorted(found, key=lambda difference: -abs(difference.change)):
            print(f"  {difference}")


def _pytest_benchmark(old: Path, new: Path) -> None:
    files = [report.with_name("pytest-benchmark.json") for report in (old, new)]
    if all(file.is_file() for file in files):
        command = [sys.executable, "-S", "-m", "pytest_benchmark", "compare", *map(str, files)]
        print("\npytest-benchmark's comparison, of times and not of ratios:", flush=True)
        subprocess.run([*command, "--columns=median,iqr,mean,rounds", "--group-by=param"], check=False)


def main() -> int:
    """Prints the comparison and returns the exit status: 1 if anything got worse, 2 if the reports cannot be compared."""
    parser = argparse.ArgumentParser(prog="compare", description="Says what got slower or bigger between two reports.")
    parser.add_argument("old", type=Path, help="a report.json")
    parser.add_argument("new", type=Path, help="a later one")
    options = parser.parse_args()
    here = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ""))
    try:
        old, new = read(here / options.old), read(here / options.new)
    except ReportError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    if old["machine"]["processor"] != new["machine"]["processor"]:
        print("two machines: ratios and sizes can be compared, seconds and nanoseconds hardly")
    found = list(differences(old, new))
    worse = [difference for difference in found if difference.worse]
    better = [difference for difference in found if difference.certain and not difference.worse]
    _pytest_benchmark(here / options.old, here / options.new)
    _print("WORSE", worse)
    _print("better", better)
    misroutes = new["misroutes"] + new["unanswered"]
    if misroutes:
        print(f"\nNOT CORRECT: {misroutes} connections of the new run were misrouted or had no answer")
    print(
        f"\n{len(found)} numbers compared: {len(worse)} worse, {len(better)} better, "
        f"{len(found) - len(worse) - len(better)} within their intervals"
    )
    return 1 if worse or misroutes else 0


if __name__ == "__main__":
    sys.exit(main())
