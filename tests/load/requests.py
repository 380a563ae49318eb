"""Requests by the hundred thousand on each path through a filter: whether all are answered, and what memory does."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from envoy import memory, process
from envoy.waiting import wait_for
from tests.envoy.http_stack import cluster, listener, manager, wasm

GUEST = Path("tests/load/guests/requests.wasm").absolute()
CLIENT = "h2load"
WARM_UP = 300
OBJECTS = 200
"""How many Python objects more than before are no leak: caches fill."""
MAX_GROWTH = 1.05

PATHS = {
    "headers": 2,
    "body": 2,
    "answers": 4,
    "raises": 2,
    "raises_closed": 5,
    "awaits": 2,
    "late": 2,
    "gone": 5,
    "forgets": 2,
}
"""Each path, a root id of the guest, and the first digit of the status that a client gets there."""

QUIET = ["--component-log-level", "wasm:critical"]
"""Arguments of Envoy: each exception is a line of its log, and of a million nobody reads one."""

_TYPE = "type.googleapis.com/envoy.extensions.filters.http"
_MANY = 1_000_000
_CALLS = "cluster.authz.upstream_rq_active", "cluster.silent.upstream_rq_active"
_CUT = "cluster.silent.upstream_cx_destroy_remote_with_active_rq"


@dataclass
class Held:
    """What the VM holds after a collection, and Envoy's memory in bytes; `in_use` is without what its allocator keeps for later."""

    objects: int
    contexts: int
    waiting: int
    callers: int
    linear: int
    resident: int
    in_use: int


@dataclass
class Came:
    """What came of a path's requests."""

    path: str
    requests: int
    wrong: int
    before: Held
    after: Held
    cut: int = 0
    """How many connections the silent server closed before the time of their calls was over."""

    def complaints(self) -> list[str]:
        """Returns what is wrong, each in one line."""
        found = [f"{self.path}: {self.wrong} requests had a wrong answer"] if self.wrong else []
        if self.cut:
            found.append(f"{self.path}: {self.cut} connections were closed before the time of their calls was over")
        if self.after.objects > self.before.objects + OBJECTS:
            found.append(f"{self.path}: {self.before.objects} objects became {self.after.objects}")
        # The request that counts has a context too.
        left = self.after.contexts - 1, self.after.waiting, self.after.callers
        if any(count > 0 for count in left):
            found.append(f"{self.path}: contexts, calls that are waited for, and callers are left: {left}")
        return found


def available() -> bool:
    """Tells whether the client is installed (Debian's nghttp2-client)."""
    return shutil.which(CLIENT, path="/usr/bin:/usr/local/bin") is not None


def _direct(name: str, *filters: dict[str, Any], idle: str = "300s") -> dict[str, Any]:
    made = manager(*filters)
    answer = {"status": 200, "body": {"inline_string": "answer"}}
    config = made["typed_config"]
    config["route_config"]["virtual_hosts"][0]["routes"] = [{"match": {"prefix": "/"}, "direct_response": answer}]
    config["stream_idle_timeout"] = idle
    return listener(name, made)


def _silent() -> dict[str, Any]:
    delay = {"fixed_delay": "600s", "percentage": {"numerator": 100}}
    fault = {"@type": f"{_TYPE}.fault.v3.HTTPFault", "delay": delay}
    return _direct("silent", {"name": "envoy.filters.http.fault", "typed_config": fault})


def _cluster(name: str, port: int) -> dict[str, Any]:
    made = cluster(name, port, {"http2_protocol_options": {}})
    # A call whose time is over resets its stream. After 250 of them Envoy closes the connection, and its other calls fail too soon.
    [options] = made["typed_extension_protocol_options"].values()
    options["common_http_protocol_options"] = {"max_requests_per_connection": 200}
    limits = {"max_connections": _MANY, "max_pending_requests": _MANY, "max_requests": _MANY}
    return {**made, "circuit_breakers": {"thresholds": [limits]}}


def _bootstrap(resources: dict[str, Any]) -> dict[str, Any]:
    admin = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}
    return {"admin": admin, "static_resources": resources}


@contextlib.contextmanager
def resources(work: Path) -> Iterator[dict[str, Any]]:
    """Runs an Envoy that answers, or never does, and gives listeners, one for each path, with the clusters behind them."""
    behind = work / "behind"
    behind.mkdir()
    with process.run(_bootstrap({"listeners": [_direct("authz"), _silent()]}), behind, 1, "warn") as server:
        yield {
            "listeners": [
                _direct(path, wasm(path, GUEST), idle="0.1s" if path == "gone" else "300s")
                for path in (*PATHS, "inside")
            ],
            "clusters": [_cluster(name, server.listeners[name][1]) for name in ("authz", "silent")],
        }


@contextlib.contextmanager
def run_envoy(work: Path) -> Iterator[process.Envoy]:
    """Runs an Envoy of one worker with a listener for each path."""
    with resources(work) as made, process.run(_bootstrap(made), work, 1, "warn", arguments=QUIET) as envoy:
        yield envoy


class Counts(NamedTuple):
    """What a VM holds; `objects` is 0 unless they were counted."""

    objects: int
    contexts: int
    waiting: int
    callers: int


def counted(envoy: process.Envoy, path: str = "/") -> Counts:
    """Returns what the VM that answers holds; only `/objects` counts objects, which takes a while."""
    connection = http.client.HTTPConnection(*envoy.listeners["inside"], timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return Counts(*map(int, connection.getresponse().read().split()))


def held(envoy: process.Envoy) -> Held:
    """Returns what there is inside of the VM after a collection, and outside of it."""
    counts, pid = counted(envoy, "/objects"), envoy.process.pid
    resident, allocator = memory.resident(pid), json.loads(envoy.get("/memory"))
    kept = int(allocator["total_physical_bytes"]) - int(allocator["allocated"])
    return Held(*counts, sum(memory.linear(pid)), resident, resident - kept)


def load(port: int, requests: int, digit: int) -> int:
    """Makes requests over HTTP/2, some hundreds at a time; returns how many had another status than they had to."""
    command = [CLIENT, f"--requests={requests}", "--clients=8", "--max-concurrent-streams=100"]
    done = subprocess.run([*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True)
    found = re.search(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout, re.MULTILINE)
    if not found:
        raise RuntimeError(f"{CLIENT} did not run: {done.stdout}{done.stderr}")
    return requests - int(found[digit - 1])


def settled(envoy: process.Envoy) -> Held:
    """Returns what there is when the last answers have come, and the last calls are over."""

    def is_quiet() -> bool:
        now = counted(envoy)
        return now.contexts <= 1 and now.waiting == now.callers == 0 and not any(map(envoy.counter, _CALLS))

    wait_for(is_quiet, 10)
    return held(envoy)


def run(work: Path, requests: int, progress: Callable[[Came], None] = lambda came: None) -> list[Came]:
    """Makes so many requests on each path, after some to warm up; raises EnvoyError if Envoy does not start."""
    found: list[Came] = []
    with run_envoy(work) as envoy:
        for path, digit in PATHS.items():
            port = envoy.listeners[path][1]
            load(port, WARM_UP, digit)
            before = settled(envoy)
            wrong = load(port, requests, digit)
            after = settled(envoy)
            cut, cut_before = envoy.counter(_CUT), sum(came.cut for came in found)
            found.append(Came(path, requests, wrong, before, after, cut - cut_before))
            progress(found[-1])
    return found


def complaints(found: list[Came]) -> list[str]:
    """Returns what is wrong with all paths together, each in one line."""
    wrong = [line for came in found for line in came.complaints()]
    first, last = found[0].after, found[-1].after
    if last.linear > max(came.before.linear for came in found):
        wrong.append("linear memory grew after the last path was warm")
    # Resident memory has a high-water mark: of requests that wait, Envoy's allocator keeps what a thousand of them took.
    if last.in_use > first.in_use * MAX_GROWTH:
        wrong.append(f"memory in use grew, from {first.in_use} to {last.in_use} bytes")
    return wrong


def table(found: list[Came]) -> list[str]:
    """Returns a table in Markdown."""
    lines = ["| path | requests | wrong | objects | contexts left | linear pages | MiB in use | MiB resident |"]
    lines.append("|---|---:|---:|---|---:|---|---|---|")
    for came in found:
        one, other = came.before, came.after
        pages = f"{one.linear // memory.PAGE:,} to {other.linear // memory.PAGE:,}"
        used, resident = (
            f"{getattr(one, name) / (1 << 20):.1f} to {getattr(other, name) / (1 << 20):.1f}"
            for name in ("in_use", "resident")
        )
        objects = f"{one.objects:,} to {other.objects:,}"
        cells = f"{came.requests:,} | {came.wrong} | {objects} | {other.contexts - 1} | {pages} | {used} | {resident}"
        lines.append(f"| {came.path} | {cells} |")
    return lines
