"""New rules hold up no other connection: an echo on another listener of the one worker, while the largest configurations arrive.

What they cost is held in instructions by `tests/host/test_policy_cost.py`. Here it is seen that Envoy's V8 needs no longer for them than a
client would notice. How long that is depends on the machine, so `STALL_SECONDS` is for an idle one.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envoy import configuration, process
from envoy.configuration import MAIN
from tests.envoy.conftest import MODULE, wait_for
from tests.policies import shapes

STRUCT = "type.googleapis.com/google.protobuf.Struct"
STRING = "type.googleapis.com/google.protobuf.StringValue"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ECHO = {
    "name": "echo",
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
    "filter_chains": [
        {
            "filters": [
                {
                    "name": "envoy.filters.network.echo",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"},
                }
            ]
        }
    ],
}
WORKER = "wrk:worker_0"
STALL_SECONDS = float(os.environ.get("STALL_SECONDS", "0.25"))
"""What the worst answer may take. A shape that takes longer is tried again, for others on the machine can only make it longer."""
TRIES = 6
UPDATED, REJECTED = "listener_manager.lds.update_success", "listener_manager.lds.update_rejected"


def worker(envoy: process.Envoy) -> Path:
    """Returns the kernel's directory of the worker's thread."""
    threads = Path(f"/proc/{envoy.process.pid}/task").iterdir()
    [found] = [task for task in threads if (task / "comm").read_text().strip() == WORKER]
    return found


def configured(envoy: process.Envoy) -> int:
    """Returns how many configurations the worker's VM has read: each is a line of its thread. The main thread reads each twice."""
    return len([line for line in envoy.log_lines("Configuration: ") if f"[{worker(envoy).name}]" in line])


class Pinging(threading.Thread):
    """Sends a byte and waits for it, again and again; knows the longest answer, and the most that the worker did in one."""

    def __init__(self, envoy: process.Envoy) -> None:
        super().__init__()
        self.worker = worker(envoy)
        self.connection = socket.create_connection(envoy.listeners["echo"], 10)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ended = threading.Event()
        self.longest = self.most = 0.0

    def busy(self) -> float:
        return int((self.worker / "schedstat").read_text().split()[0]) / 1e9

    def run(self) -> None:
        busy = self.busy()
        while not self.ended.wait(0.002):
            started = time.perf_counter()
            self.connection.sendall(b"x")
            assert self.connection.recv(1) == b"x"
            self.longest = max(self.longest, time.perf_counter() - started)
            before, busy = busy, self.busy()
            self.most = max(self.most, busy - before)
        self.connection.close()


@pytest.mark.parametrize("form", [STRUCT, STRING])
def test_the_largest_rules_hold_up_no_connection(
    ports: dict[str, int], tmp_path: Path, form: str, record_property: Callable[[str, object], None]
) -> None:
    made = configuration.for_loopback(MODULE, ports, tmp_path / "access.log")
    main = configuration.listener(made, MAIN)
    made["static_resources"]["listeners"] = [ECHO]
    made["node"] = {"id": "test", "cluster": "test"}
    made["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(tmp_path / "listeners.json")}}}

    def publish(value: Any) -> None:
        given = value if form == STRUCT or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        wasm = configuration.plugin({"static_resources": {"listeners": [main]}})
        wasm["configuration"] = {"@type": STRING if isinstance(given, str) else STRUCT, "value": given}
        whole = {"version_info": str(time.monotonic_ns()), "resources": [{"@type": LISTENER, **main}]}
        (tmp_path / "next.json").write_text(json.dumps(whole))
        (tmp_path / "next.json").rename(tmp_path / "listeners.json")

    publish("standalone")
    updates = 1

    def update(policy: Any) -> Pinging:
        nonlocal updates
        updates += 1
        before = configured(envoy)
        pinging = Pinging(envoy)
        pinging.start()
        publish(policy)

        def updated() -> bool:
            return configured(envoy) > before and envoy.counter(UPDATED) == updates

        # Asking takes processor time, of which the worker may have too little then.
        assert wait_for(updated, 60, pause=0.3), envoy.log_lines("Refused")
        time.sleep(0.2)
        pinging.ended.set()
        pinging.join()
        return pinging

    stalls: dict[str, float] = {}
    with process.run(made, tmp_path) as envoy:
        assert wait_for(lambda: envoy.counter(UPDATED) == 1 and configured(envoy) > 0, 20)
        for shape, policy in shapes.SHAPES.items():
            tried = [update(policy)]
            while tried[-1].longest >= STALL_SECONDS and len(tried) < TRIES:
                # For a configuration that it still has, Envoy would do nothing.
                tried.append(update({**policy, "default_action": {"cluster": f"other{len(tried)}"}}))
            least = min(tried, key=lambda pinging: pinging.longest)
            stalls[shape] = least.longest
            times = f", the least of {len(tried)}" if tried[1:] else ""
            record_property(
                shape, f"{1e3 * least.longest:.0f} ms, {1e3 * least.most:.0f} ms of the worker's processor time{times}"
            )
        assert envoy.counter(REJECTED) == 0
    assert max(stalls.values()) < STALL_SECONDS, stalls
    # A stall that nobody can see proves nothing.
    assert max(stalls.values()) > 0.002
