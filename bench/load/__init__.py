"""The load: a client and the routers behind the proxy, both in C, so that neither is what is measured."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.load import tracking
from bench.proxy import ROUTERS, thread_cpu
from bench.variants import Variant
from envoy.process import die_with_parent

_HERE = Path(__file__).parent

# client.c's struct record
RECORD = np.dtype(
    [
        ("due", "<u8"),
        ("sent", "<u8"),
        ("first_byte", "<u8"),
        ("port_index", "<u2"),
        ("source", "u1"),
        ("reply", "u1"),
        ("unused", "<u4"),
    ]
)


class LoadError(Exception):
    """The client or a router did not run, or nobody replied; the text says why."""


@dataclass(frozen=True)
class Load:
    """What one run of the client saw, a record for each connection, and what it took."""

    records: npt.NDArray[Any]
    elapsed_ns: int
    client_cpu_ns: int

    def of(self, index: int) -> npt.NDArray[Any]:
        """Returns the records of one port, in the order of the connections."""
        selected: npt.NDArray[Any] = self.records[self.records["port_index"] == index]
        return selected


def latency_ns(records: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Returns the time from when each connection was due until its first byte; NaN where there was no reply."""
    took: npt.NDArray[np.float64] = np.subtract(records["first_byte"], records["due"], dtype=np.float64)
    return np.where(records["first_byte"] > 0, took, np.nan)


def lateness_ns(records: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Returns how long after it was due each connection was made: the client's own share of the latency."""
    late: npt.NDArray[np.float64] = np.subtract(records["sent"], records["due"], dtype=np.float64)
    return late


def wrong(variant: Variant, records: npt.NDArray[Any]) -> tuple[int, int]:
    """Returns how many connections reached another router than they had to, and how many reached none."""
    even, odd = (ord(name[-1]) for name in ROUTERS)
    expected = np.where(records["source"] % 2 == 0, even, odd) if variant.routes else even
    unanswered = records["reply"] == 0
    return int(np.sum((records["reply"] != expected) & ~unanswered)), int(np.sum(unanswered))


def client(mode: str, ports: Sequence[int | str], count: int, argument: float, seed: int) -> Load:
    """Runs the client (`client.c` has the modes) and returns what it saw; raises LoadError if it does not run."""
    return clients(mode, ports, count, argument, [seed])[0]


def clients(mode: str, ports: Sequence[int | str], count: int, argument: float, seeds: Sequence[int]) -> list[Load]:
    """Runs as many clients at once as there are seeds."""
    try:
        tracking.wait_for_room(count * len(seeds) * (len(ports) if mode == "rounds" else 1))
    except tracking.TrackingError as error:
        raise LoadError(str(error)) from None
    with contextlib.ExitStack() as stack:
        running = []
        for seed in seeds:
            out = stack.enter_context(tempfile.NamedTemporaryFile(prefix="bench-load-"))
            words: list[object] = [_HERE / "client", mode, seed, count, argument, out.name, *ports]
            process = subprocess.Popen(
                [str(word) for word in words],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=die_with_parent,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            running.append((process, out.name))
        found = []
        for process, name in running:
            told, complaint = process.communicate()
            if process.returncode:
                raise LoadError(complaint.strip() or f"the client ended with status {process.returncode}")
            elapsed, cpu = map(int, told.split())
            found.append(Load(np.fromfile(name, RECORD), elapsed, cpu))
        return found


def first_byte(address: tuple[str, int], seconds: float, source: str = "") -> float:
    """Makes one connection and ends it after its first byte; returns how long that took, or raises LoadError without one."""
    began = time.monotonic()
    try:
        with socket.create_connection(address, seconds, (source, 0) if source else None) as connection:
            if not connection.recv(1):
                raise ConnectionError("closed without a reply")
    except OSError as error:
        raise LoadError(f"a connection to port {address[1]}: {error}") from None
    return time.monotonic() - began


@dataclass
class Routers:
    """The running routers' ports by name."""

    ports: dict[str, int]
    pid: int

    def cpu(self) -> int:
        """Returns the nanoseconds that they have been on a processor."""
        return thread_cpu(self.pid, "")


@contextlib.contextmanager
def routers() -> Iterator[Routers]:
    """Runs the two routers until the block is over; raises LoadError if they do not start."""
    command = [str(_HERE / "backend"), *ROUTERS]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=die_with_parent
    ) as process:
        assert process.stdout
        try:
            lines = [process.stdout.readline() for _ in ROUTERS]
            if not all(lines):
                raise LoadError("the routers did not start; their error stands above")
            yield Routers(dict(zip(ROUTERS, map(int, lines), strict=True)), process.pid)
        finally:
            process.terminate()
