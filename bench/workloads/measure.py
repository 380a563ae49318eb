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
_STARTS = 3
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
    python: Path,
    rounds: int,
    sides: Sequence[str] = SIDES,
    told: Callable[[float], None] = lambda _: None,
    starts: int = _STARTS,
) -> Measured:
    """Runs every workload for some rounds, on one side right after the other, in orders drawn anew; raises WorkloadError.

    The rounds are shared among some starts of all sides: a process that started has a heap of its own, for better or worse.
    """
    random_ = random.Random(1)
    tables, about = [], {}
    for start in range(starts):
        with contextlib.ExitStack() as stack:
            running = [stack.enter_context(_side(name, _command(name, python))) for name in sides]
            tables.append(_rounds(running, max(1, rounds // starts), random_))
            about = {side.name: side.about for side in running}
        told((start + 1) / starts)
    return Measured(np.concatenate(tables), about)


def _rounds(running: Sequence[Side], rounds: int, random_: random.Random) -> Values:
    times = {(side.name, number): _warmed_up(side, number) for side in running for number in range(len(WORKLOADS))}
    table = np.empty((rounds, len(WORKLOADS), len(running)))
    for round_ in range(rounds):
        for number in random_.sample(range(len(WORKLOADS)), len(WORKLOADS)):
            for column in random_.sample(range(len(running)), len(running)):
                side = running[column]
                table[round_, number, column] = side.run(number, times[side.name, number])
    return table


def _command(name: str, python: Path) -> list[str | Path]:
    if name == DESKTOP:
        return [python, "-S", "-B", "-m", "bench.workloads.desktop"]
    return [node(), "--no-liftoff", HERE / "module.mjs", _BINARIES[name]]


def _warmed_up(side: Side, workload: int) -> int:
    """Runs a workload until it is compiled and specialised; returns how often it runs in a slice."""
    for times in _WARM_UP:
        took = side.run(workload, times)
    return max(1, min(MOST_TIMES, round(_SLICE_NS / took)))
