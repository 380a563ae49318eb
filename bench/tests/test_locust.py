"""locust against a real Envoy: a correct run passes, one misroute fails it, and it works distributed."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench import proxy
from bench.variants import BASELINE, FLOOR, PYTHON, Variant
from envoy import routers

EVEN, ODD = "127.22.0.10", "127.22.0.11"
COMMAND = [sys.executable, "-S", "-m", "locust", "--locustfile", "bench/locustfile.py"]
RUN = ["--headless", "--users", "4", "--spawn-rate", "4", "--run-time", "3s", "--only-summary"]
SECONDS = 120


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with routers.run(list(proxy.ROUTERS)) as running:
        yield running


def addresses(running: proxy.Proxy, routed: Variant) -> list[str]:
    listeners = {"--wasm": routed.name, "--baseline": BASELINE.name}
    return [word for option, name in listeners.items() for word in (option, f"127.0.0.1:{running.ports[name]}")]


def locust(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS
    )


def swapped(ports: dict[str, int]) -> dict[str, int]:
    first, second = proxy.ROUTERS
    return {first: ports[second], second: ports[first]}


def test_the_filter_passes_and_the_reports_are_written(ports: dict[str, int], tmp_path: Path) -> None:
    reports = ["--html", str(tmp_path / "locust.html"), "--csv", str(tmp_path / "locust")]
    with proxy.run([BASELINE, PYTHON], ports, tmp_path) as running:
        done = locust(*RUN, *addresses(running, PYTHON), "--sources", f"{EVEN},{ODD}", "--rate", "20", *reports)
    assert done.returncode == 0, done.stdout
    rows = (tmp_path / "locust_stats.csv").read_text()
    for name in ("baseline even", "baseline odd", "wasm even", "wasm odd"):
        assert re.search(rf"^TCP,{name},[1-9]\d*,0,", rows, re.MULTILINE), rows
    assert "wasm odd" in (tmp_path / "locust.html").read_text()


def test_a_misroute_fails_the_run_even_if_errors_are_to_be_ignored(ports: dict[str, int], tmp_path: Path) -> None:
    with proxy.run([BASELINE, FLOOR], swapped(ports), tmp_path) as running:
        done = locust(*RUN, *addresses(running, FLOOR), "--sources", f"{EVEN},{ODD}", "--exit-code-on-error", "0")
    assert done.returncode == 1, done.stdout
    assert "MISROUTED" in done.stdout


def test_a_run_that_never_saw_one_parity_fails(ports: dict[str, int], tmp_path: Path) -> None:
    with proxy.run([BASELINE, FLOOR], ports, tmp_path) as running:
        done = locust(*RUN, *addresses(running, FLOOR), "--sources", EVEN)
    assert done.returncode == 1, done.stdout
    assert "no connection was made as: baseline odd, wasm odd" in done.stdout


def test_a_listener_that_is_not_there_fails_the_run() -> None:
    nobody = ["--wasm", "127.0.0.1:1", "--baseline", "127.0.0.1:1", "--sources", f"{EVEN},{ODD}"]
    assert locust(*RUN, *nobody).returncode == 1


def distributed(words: Sequence[str]) -> tuple[int, str]:
    """Runs a master and two workers, one for each parity, and returns the master's exit status and output."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # The same address: closed connections from other loopback addresses may still hold the port there.
    bind = ["--master-bind-host", "127.0.0.1", "--master-bind-port", port]
    master = [*COMMAND, "--master", *bind, "--expect-workers", "2", *RUN, *words]
    worker = [*COMMAND, "--worker", "--master-port", port, "--sources"]
    with contextlib.ExitStack() as stack:
        main = subprocess.Popen(master, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        stack.callback(main.wait)
        stack.callback(main.kill)
        for source in (EVEN, ODD):
            started = subprocess.Popen([*worker, source], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(started.wait)
            stack.callback(started.terminate)
        output = main.communicate(timeout=SECONDS)[0]
    return main.returncode, output


def test_distributed_the_workers_sources_are_their_own(ports: dict[str, int], tmp_path: Path) -> None:
    with proxy.run([BASELINE, FLOOR], ports, tmp_path) as running:
        status, output = distributed(addresses(running, FLOOR))
    assert status == 0, output
    assert "wasm even" in output and "wasm odd" in output


def test_distributed_a_misroute_at_a_worker_fails_the_master(ports: dict[str, int], tmp_path: Path) -> None:
    with proxy.run([BASELINE, FLOOR], swapped(ports), tmp_path) as running:
        status, output = distributed(addresses(running, FLOOR))
    assert status == 1, output
    assert "MISROUTED" in output
