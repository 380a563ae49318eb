"""What a module costs before the first connection: seconds and processor time until Envoy is ready, and memory."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, proxy
from bench.variants import Variant, add_options, chosen
from envoy import process
from envoy.configuration import Configuration

_TICK = os.sysconf("SC_CLK_TCK")
_CONNECTIONS = 200
# Envoy's allocator gives back what compiling needed in steps of a second or more: envoy.yaml says how.
_STEADY_SECONDS, _SETTLE_SECONDS, _STEP = 4.0, 20.0, 1_000_000
MEGABYTE = 1e6


@dataclass
class Start:
    """One start of Envoy; memory in bytes, after some connections and when it falls no more."""

    workers: int
    seconds: float
    cpu_seconds: float
    resident: int
    anonymous: int
    """What belongs to the process alone: no file is behind it."""
    peak: int
    connections: int
    misroutes: int
    unanswered: int


def _cpu_seconds(pid: int) -> float:
    """All threads' time, those that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _kilobytes(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    if not found:
        raise ValueError(f"the kernel tells no {name} of a process")
    return int(found[1]) * 1024


def _settled(of_process: Path) -> str:
    """Returns the kernel's account of a process's memory, as soon as it has not fallen for some seconds."""
    began = lowered = time.monotonic()
    rollup = (of_process / "smaps_rollup").read_text()
    least = _kilobytes(rollup, "Rss")
    while time.monotonic() - lowered < _STEADY_SECONDS and time.monotonic() - began < _SETTLE_SECONDS:
        time.sleep(0.25)
        rollup = (of_process / "smaps_rollup").read_text()
        if _kilobytes(rollup, "Rss") < least - _STEP:
            least, lowered = _kilobytes(rollup, "Rss"), time.monotonic()
    return rollup


def start(variant: Variant, routers: load.Routers, workers: int) -> Start:
    """Starts Envoy with a listener for this variant and no other, and ends it again."""
    with tempfile.TemporaryDirectory(prefix="bench-start-") as name:
        work = Path(name)
        return start_with(proxy.configured([variant], routers.ports, work), work, variant, _CONNECTIONS, workers)


def start_with(
    configuration: Configuration, work: Path, variant: Variant, connections_each: int, workers: int = 1
) -> Start:
    """Starts Envoy with a configuration, all of whose listeners route as a variant does, and ends it again.

    Each listener gets so many connections for each worker.
    """
    began = time.monotonic()
    with process.run(configuration, work, workers, "warn") as envoy:
        seconds, cpu = time.monotonic() - began, _cpu_seconds(envoy.process.pid)
        # Pages count from when they are touched: by connections, on every worker.
        ports = [port for _, port in envoy.listeners.values()]
        connections = connections_each * workers * len(ports)
        made = load.client("flood", ports, connections, 16, 1)
        of_process = Path(f"/proc/{envoy.process.pid}")
        rollup, status = _settled(of_process), (of_process / "status").read_text()
    resident, anonymous, peak = (
        _kilobytes(text, name) for text, name in ((rollup, "Rss"), (rollup, "Anonymous"), (status, "VmHWM"))
    )
    wrong, none = load.wrong(variant, made.records)
    return Start(workers, seconds, cpu, resident, anonymous, peak, connections, wrong, none)


def fewest(by_workers: Mapping[str, object]) -> str:
    """Returns the least number of workers among a report's keys for them."""
    return min((key for key in by_workers if key.isdigit()), key=int)


def _options() -> tuple[list[Variant], list[int], int]:
    """Returns the variants, the numbers of workers and the number of starts that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="startup", description="What a module costs until Envoy is ready, and in memory."
    )
    add_options(parser)
    parser.add_argument("--workers", default="1,2", help="numbers of workers, with commas (default: 1,2)")
    parser.add_argument("--repeats", type=int, default=3, help="starts of each; medians are printed (default: 3)")
    options = parser.parse_args()
    try:
        variants = [variant for variant in chosen(options) if variant.proxied]
        return variants, sorted(int(number) for number in options.workers.split(",")), options.repeats
    except ValueError as error:
        sys.exit(f"startup: {error}")


def _measured(variants: Sequence[Variant], workers: Sequence[int], repeats: int) -> dict[tuple[str, int], list[Start]]:
    """Returns the starts of each variant with each number of workers, which take turns."""
    found: dict[tuple[str, int], list[Start]] = {}
    with load.routers() as routers:
        for _ in range(repeats):
            for variant, number in itertools.product(variants, workers):
                print(f"{variant.name}, workers: {number} ...", file=sys.stderr, flush=True)
                found.setdefault((variant.name, number), []).append(start(variant, routers, number))
    return found


def _row(name: str, workers: int, starts: Sequence[Start]) -> str:
    seconds, cpu, *sizes = (
        statistics.median(getattr(one, field) for one in starts)
        for field in ("seconds", "cpu_seconds", "resident", "anonymous", "peak")
    )
    resident, own, peak = (size / MEGABYTE for size in sizes)
    return f"{name:<10} {workers:>7} {seconds:8.2f} {cpu:8.2f} {resident:12.1f} {own:8.1f} {peak:8.1f}"


def main() -> None:
    """Prints start-up and memory of some variants: the quick judge while one makes something lighter."""
    variants, numbers, repeats = _options()
    found = _measured(variants, numbers, repeats)
    print(
        f"{'':<10} workers {'ready s':>8} {'CPU s':>8} {'resident MB':>12} {'own MB':>8} {'peak MB':>8} {'per worker':>11}"
    )
    for (name, workers), starts in found.items():
        row = _row(name, workers, starts)
        if workers != numbers[0]:
            many, few = (statistics.median(one.anonymous for one in found[name, n]) for n in (workers, numbers[0]))
            row += f" {(many - few) / MEGABYTE / (workers - numbers[0]):11.1f}"
        print(row)


if __name__ == "__main__":
    main()
