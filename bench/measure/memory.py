"""How much memory an Envoy takes, as the kernel accounts for it: right after its start, and at rest.

Compiling a module takes memory that Envoy's allocator gives back by and by (`envoy.yaml` says how): some within seconds, and what was in
use of late only after a minute. What stays then is what a proxy takes for as long as it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load, proxy
from bench.variants import Variant, add_options, chosen
from envoy import process

MEGABYTE = 1e6
CONNECTIONS = 200
"""To each listener for each worker, before memory is looked at."""
_STEADY_SECONDS, _SETTLE_SECONDS, _STEP = 4.0, 20.0, 1_000_000


@dataclass
class Touched:
    """Connections that touched the memory of all workers, and how many went wrong."""

    connections: int
    misroutes: int
    unanswered: int


@dataclass
class Taken(Touched):
    """What an Envoy takes after these connections, in bytes."""

    resident: int
    anonymous: int
    """What belongs to the process alone: no file is behind it."""


def touch(envoy: process.Envoy, variant: Variant, each: int) -> Touched:
    """Makes so many connections to each listener, since pages count from when they are touched."""
    ports = [port for _, port in envoy.listeners.values()]
    made = load.client("flood", ports, each * len(ports), 16, 1)
    wrong, none = load.wrong(variant, made.records)
    return Touched(each * len(ports), wrong, none)


def bytes_of(account: str, name: str) -> int:
    """Returns an entry of the kernel's account of a process, in bytes; raises ValueError if it is not there."""
    found = re.search(rf"^{name}:\s+(\d+) kB", account, re.MULTILINE)
    if not found:
        raise ValueError(f"the kernel tells no {name} of a process")
    return int(found[1]) * 1024


def taken(account: str, made: Touched) -> Taken:
    """Returns what the kernel's account of a process tells."""
    return Taken(**vars(made), resident=bytes_of(account, "Rss"), anonymous=bytes_of(account, "Anonymous"))


def account_of(pid: int) -> str:
    """Returns the kernel's account of a process's memory."""
    return Path(f"/proc/{pid}/smaps_rollup").read_text()


def settled(pid: int) -> str:
    """Returns the kernel's account as soon as the memory has not fallen for some seconds."""
    began = lowered = time.monotonic()
    found = account_of(pid)
    least = bytes_of(found, "Rss")
    while time.monotonic() - lowered < _STEADY_SECONDS and time.monotonic() - began < _SETTLE_SECONDS:
        time.sleep(0.25)
        found = account_of(pid)
        if bytes_of(found, "Rss") < least - _STEP:
            least, lowered = bytes_of(found, "Rss"), time.monotonic()
    return found


def at_rest(variants: Sequence[Variant], routers: load.Routers, seconds: float, work: Path) -> dict[str, Taken]:
    """Returns what an Envoy with each variant takes so many seconds after its connections: all of them rest at the same time."""
    with contextlib.ExitStack() as stack:
        running: list[tuple[Variant, process.Envoy, Touched]] = []
        for variant in variants:
            own = work / f"at-rest-{variant.name}"
            own.mkdir()
            configuration = proxy.configured([variant], routers.ports, own)
            envoy = stack.enter_context(process.run(configuration, own, 1, "warn"))
            running.append((variant, envoy, touch(envoy, variant, CONNECTIONS)))
        time.sleep(seconds)
        return {variant.name: taken(account_of(envoy.process.pid), made) for variant, envoy, made in running}


def main() -> None:
    """Prints what some variants take at rest: the quick judge while one makes something smaller."""
    parser = argparse.ArgumentParser(prog="memory", description="What an Envoy takes of memory at rest, one worker.")
    parser.add_argument("--seconds", type=float, default=90, help="how long it rests after connections (default: 90)")
    add_options(parser)
    options = parser.parse_args()
    try:
        variants = [variant for variant in chosen(options) if variant.proxied]
    except ValueError as error:
        sys.exit(f"memory: {error}")
    with load.routers() as routers, tempfile.TemporaryDirectory(prefix="bench-memory-") as work:
        found = at_rest(variants, routers, options.seconds, Path(work))
    print(f"{'':<10} {'resident MB':>12} {'own MB':>8}")
    for name, one in found.items():
        print(f"{name:<10} {one.resident / MEGABYTE:12.1f} {one.anonymous / MEGABYTE:8.1f}")


if __name__ == "__main__":
    main()
