"""Runs the workloads in the module, in V8 as Envoy sets it up, and on a desktop's Python, in turns."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.guest.engines import node
from bench.intervals import Values
from bench.workloads.suite import MOST_TIMES, WORKLOADS, ask

HERE = Path(__file__).parent
DESKTOP, MODULE, UNTIERED = "desktop", "module", "untiered"
SIDES = (DESKTOP, MODULE, UNTIERED)

VERSION = "3.14"
"""The Python that the module has, and so the one to measure it against."""

_BINARIES = {MODULE: HERE / "guest.wasm", UNTIERED: HERE / "guest.snapshot.wasm"}
_SLICE_NS = 1_000_000
"""How long a workload runs at a time."""
_WARM_UP = (1, 20, 200)


class WorkloadError(Exception):
    """A side does not run, or a workload's result is wrong; the text says why."""


class NoPython(WorkloadError):
    """There is no Python to measure against; the text says what to do."""


@dataclass
class Side:
    """What runs the workloads: a process that is asked for one on its input, and answers with the nanoseconds."""

    name: str
    about: list[str]
    """What it is: a name, a version, and by what it was made."""
    _process: subprocess.Popen[str]
    _errors: Path

    def run(self, workload: int, times: int) -> float:
        """Runs a workload so many times, and returns the nanoseconds of one."""
        assert self._process.stdin
        try:
            print(ask(workload, times), file=self._process.stdin, flush=True)
            return int(self.line()) / times
        except (OSError, ValueError):
            raise WorkloadError(self.ended()) from None

    def line(self) -> str:
        """Returns its next line; raises WorkloadError if it wrote an error."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if self._errors.stat().st_size:
            raise WorkloadError(self.ended())
        return line

    def ended(self) -> str:
        """Returns why it has ended."""
        self._process.kill()
        self._process.wait()
        return f"{self.name}: {self._errors.read_text().strip() or 'it ended without a word'}"


@contextlib.contextmanager
def _side(name: str, command: Sequence[str | Path]) -> Iterator[Side]:
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory(prefix="bench-workloads-") as work:
        errors = Path(work, "errors")
        with (
            errors.open("w") as written,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written, text=True, env=environment
            ) as process,
        ):
            side = Side(name, [], process, errors)
            try:
                side.about = json.loads(side.line() or "null") or []
                if not side.about:
                    raise WorkloadError(side.ended())
                yield side
            finally:
                process.kill()


def find_python(named: str | None = None) -> Path:
    """Returns the desktop's Python: the named one, or python3.14 of the path; raises NoPython if there is none, or another version."""
    name = named or f"python{VERSION}"
    # Bazel runs this elsewhere.
    path = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ""), name) if "/" in name else name
    found = shutil.which(path)
    if not found:
        raise NoPython(
            f"there is no program {name}: install CPython {VERSION}, or let `tools/python3.14 DIRECTORY` unpack Debian sid's, "
            "and name it with --python"
        )
    told = subprocess.run([found, "-V"], capture_output=True, text=True).stdout.strip()
    if not told.startswith(f"Python {VERSION}."):
        raise NoPython(
            f"{found} is {told or 'no Python'}, and the module's is Python {VERSION}: name one with --python"
        )
    return Path(found)


@dataclass(frozen=True)
class Measured:
    """What was measured."""

    table: Values
    """Nanoseconds of one run: by round, by workload as in WORKLOADS, by side as in `sides`."""
    sides: dict[str, list[str]]
    """What each side is, by its name."""


def measure(
    python: Path, rounds: int, sides: Sequence[str] = SIDES, told: Callable[[float], None] = lambda _: None
) -> Measured:
    """Runs every workload on every side for some rounds, in an order drawn anew for each; raises WorkloadError."""
    random_ = random.Random(1)
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(_side(name, _command(name, python))) for name in sides]
        times = {
            (side.name, workload): _warmed_up(side, workload) for side in running for workload in range(len(WORKLOADS))
        }
        table = np.empty((rounds, len(WORKLOADS), len(running)))
        order = [(workload, column) for workload in range(len(WORKLOADS)) for column in range(len(running))]
        for round_ in range(rounds):
            random_.shuffle(order)
            for workload, column in order:
                side = running[column]
                table[round_, workload, column] = side.run(workload, times[side.name, workload])
            told((round_ + 1) / rounds)
        return Measured(table, {side.name: side.about for side in running})


def _command(name: str, python: Path) -> list[str | Path]:
    if name == DESKTOP:
        return [python, "-S", "-B", "-m", "bench.workloads.desktop"]
    return [node(), "--no-liftoff", HERE / "module.mjs", _BINARIES[name]]


def _warmed_up(side: Side, workload: int) -> int:
    """Runs a workload until it is compiled and specialised; returns how often it runs in a slice."""
    for times in _WARM_UP:
        took = side.run(workload, times)
    return max(1, min(MOST_TIMES, round(_SLICE_NS / took)))
