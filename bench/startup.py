"""What a module costs before the first connection: seconds and processor time until Envoy is ready, and memory."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import load, proxy
from bench.variants import Variant
from envoy import process

_TICK = os.sysconf("SC_CLK_TCK")
_CONNECTIONS = 200


@dataclass
class Start:
    """One start of Envoy with one variant alone; memory in bytes, after some connections."""

    workers: int
    seconds: float
    cpu_seconds: float
    resident: int
    anonymous: int
    """What belongs to the process alone: no file is behind it."""
    peak: int


def _cpu_seconds(pid: int) -> float:
    """All threads' time, those that have ended included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _kilobytes(text: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
    if not found:
        raise ValueError(f"the kernel tells no {name} of a process")
    return int(found[1]) * 1024


def start(variant: Variant, routers: load.Routers, workers: int) -> Start:
    """Starts Envoy with a listener for this variant and no other, and ends it again."""
    with tempfile.TemporaryDirectory(prefix="bench-start-") as name:
        work = Path(name)
        configuration = proxy.configured([variant], routers.ports, work)
        began = time.monotonic()
        with process.run(configuration, work, workers, "warn") as envoy:
            seconds, cpu = time.monotonic() - began, _cpu_seconds(envoy.process.pid)
            # Pages count from when they are touched: by connections, on every worker.
            load.client("flood", [envoy.listeners[variant.name][1]], _CONNECTIONS * workers, 16, 1)
            of_process = Path(f"/proc/{envoy.process.pid}")
            rollup, status = (of_process / "smaps_rollup").read_text(), (of_process / "status").read_text()
    return Start(
        workers, seconds, cpu, _kilobytes(rollup, "Rss"), _kilobytes(rollup, "Anonymous"), _kilobytes(status, "VmHWM")
    )


def fewest(by_workers: Mapping[str, object]) -> str:
    """Returns the least number of workers among a report's keys for them."""
    return min((key for key in by_workers if key.isdigit()), key=int)
