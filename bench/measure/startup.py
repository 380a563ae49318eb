"""What a module costs before the first connection: seconds and processor time until Envoy is ready, and memory."""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, proxy
from bench.measure import memory
from bench.measure.memory import MEGABYTE
from bench.variants import Variant, add_options, chosen
from envoy import process
from envoy.configuration import Configuration

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Start(memory.Taken):
    """One start of Envoy; memory in bytes, after some connections and when it has not fallen for some seconds."""

    peak: int
    workers: int
    seconds: float
    cpu_seconds: float


def _cpu_seconds(pid: int) -> float:
    """All threads' time, those that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def start(variant: Variant, routers: load.Routers, workers: int) -> Start:
    """Starts Envoy with a listener for this variant and no other, and ends it again."""
    with tempfile.TemporaryDirectory(prefix="bench-start-") as name:
        work = Path(name)
        return start_with(proxy.configured([variant], routers.ports, work), work, variant, memory.CONNECTIONS, workers)


def start_with(
    configuration: Configuration, work: Path, variant: Variant, connections_each: int, workers: int = 1
) -> Start:
    """Starts Envoy with a configuration, all of whose listeners route as a variant does, and ends it again.

    Each listener gets so many connections for each worker.
    """
    began = time.monotonic()
    with process.run(configuration, work, workers, "warn") as envoy:
        seconds, cpu = time.monotonic() - began, _cpu_seconds(envoy.process.pid)
        made = memory.touch(envoy, variant, connections_each * workers)
        taken = memory.taken(memory.settled(envoy.process.pid), made)
        peak = memory.bytes_of(Path(f"/proc/{envoy.process.pid}/status").read_text(), "VmHWM")
    return Start(**vars(taken), peak=peak, workers=workers, seconds=seconds, cpu_seconds=cpu)


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
