"""The filter's configuration by ECDS, and Envoy replaced by hot restart: nothing is lost, and a refusal changes nothing."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envoy import configuration, process, routers
from envoy.client import Held
from envoy.configuration import MAIN, Configuration
from envoy.discovery import NetworkFilter
from tests.envoy import modules
from tests.envoy.conftest import MODULE, ROUTERS, wait_for

COUNTED = Path("tests/load/guests/counted.wasm").absolute()
"""The same filter as another module: it counts its contexts."""
ODD = "127.0.0.3"
DEFAULT, ROUTED = ROUTERS
REFUSED = "no such thing"
NEW_RULES = json.dumps({"default_action": {"cluster": DEFAULT}})
DRAIN_SECONDS, SHUTDOWN_SECONDS = 1, 3


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with routers.run(ROUTERS, "tests.load.echo") as running:
        yield running


@pytest.fixture
def made(ports: dict[str, int], tmp_path: Path) -> Configuration:
    """The main listener alone."""
    made = configuration.for_loopback(MODULE, ports, tmp_path / "access.log")
    made["static_resources"]["listeners"] = [configuration.listener(made, MAIN)]
    made["node"] = {"id": "test", "cluster": "test"}
    # A new process takes over the old one's counts with each flush.
    made["stats_flush_interval"] = "0.5s"
    return made


def reached(address: tuple[str, int]) -> str:
    with Held(address, ODD) as connection:
        return connection.name


# ---- ECDS


def test_ecds_replaces_rules_and_module_and_no_drain_time_ends_what_is_open(
    made: Configuration, tmp_path: Path
) -> None:
    extension = NetworkFilter(made, MAIN, tmp_path)
    with process.run(made, tmp_path, drain_seconds=DRAIN_SECONDS) as envoy:
        address = envoy.listeners[MAIN]

        def updated(counter: str, value: int) -> bool:
            extension.put()
            return wait_for(lambda: envoy.counter(extension.counter(counter)) == value, 30)

        with Held(address, ODD) as held:
            assert held.name == ROUTED
            extension.plugin["configuration"]["value"] = NEW_RULES
            assert updated("config_reload", 2)
            assert wait_for(lambda: reached(address) == DEFAULT)
            extension.plugin["configuration"]["value"] = REFUSED
            assert updated("update_rejected", 1)
            assert envoy.log_lines(f"Refused: the configuration is '{REFUSED}'")
            assert reached(address) == DEFAULT
            extension.plugin["configuration"]["value"] = "standalone"
            extension.plugin["root_id"] = "counted"
            extension.plugin["vm_config"]["code"] = {"local": {"filename": str(COUNTED)}}
            assert updated("config_reload", 4)
            assert wait_for(lambda: reached(address) == ROUTED)
            assert envoy.counter("wasmcustom.contexts.created") > 0
            time.sleep(DRAIN_SECONDS + 1)
            assert held.echoes()
        assert envoy.counter("listener_manager.listener_in_place_updated") == 0


def test_ecds_takes_a_module_from_a_server_without_ever_fetching_it(made: Configuration, tmp_path: Path) -> None:
    # Envoy's fault, and a bad one: with FAIL_RELOAD no connection is filtered any more. A later Envoy may fetch it.
    extension = NetworkFilter(made, MAIN, tmp_path)
    with modules.serve(MODULE) as server:
        configuration.add_cluster(made, "modules", [server.port])
        with process.run(made, tmp_path) as envoy:
            address = envoy.listeners[MAIN]
            assert reached(address) == ROUTED
            uri = {"uri": f"http://127.0.0.1:{server.port}/filter.wasm", "cluster": "modules", "timeout": "5s"}
            digest = hashlib.sha256(MODULE.read_bytes()).hexdigest()
            extension.plugin["vm_config"]["code"] = {"remote": {"http_uri": uri, "sha256": digest}}
            extension.put()
            assert wait_for(lambda: reached(address) == DEFAULT, 30)
            extension.plugin["failure_policy"] = "FAIL_CLOSED"
            del extension.plugin["reload_config"]
            extension.put()
            assert wait_for(lambda: envoy.counter(extension.counter("config_reload")) == 3, 30)
            assert wait_for(lambda: reached(address) == "", 30)
            time.sleep(1)
            assert (reached(address), server.requests) == ("", 0)


# ---- hot restart


class Arrivals:
    """One connection after the other, until the block is over; the routers' names in their order, "" for a lost one."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.names: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.names.append(reached(self.address))
            except OSError:
                self.names.append("")
            self._stop.wait(0.01)

    def __enter__(self) -> Arrivals:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the connections; may be called again."""
        self._stop.set()
        self._thread.join()


@contextlib.contextmanager
def first(made: Configuration, work: Path) -> Iterator[tuple[process.Envoy, int]]:
    """Runs an Envoy that another may take over from, and gives its base id."""
    path = work / "base.id"
    dynamic = ["--use-dynamic-base-id", "--base-id-path", str(path)]
    try:
        with process.run(made, work, hot_restart=dynamic) as envoy:
            yield envoy, int(path.read_text())
    finally:
        if path.exists():
            # Envoy leaves it behind, for a next one.
            Path(f"/dev/shm/envoy_shared_memory_{path.read_text()}0").unlink(missing_ok=True)


def second(made: Configuration, work: Path, base_id: int) -> Any:
    """Runs an Envoy that takes over from the first."""
    work.mkdir()
    times = ["--parent-shutdown-time-s", str(SHUTDOWN_SECONDS)]
    epoch = ["--base-id", str(base_id), "--restart-epoch", "1"]
    return process.run(made, work, drain_seconds=DRAIN_SECONDS, hot_restart=epoch, arguments=times)


def configured(made: Configuration, value: str) -> Configuration:
    """Returns the same with another configuration of the plugin."""
    changed = copy.deepcopy(made)
    configuration.plugin(changed)["configuration"]["value"] = value
    return changed


def test_a_hot_restart_loses_no_new_connection_and_keeps_the_old_ones_until_the_parent_ends(
    made: Configuration, tmp_path: Path
) -> None:
    address = configuration.fix_port(made)
    changed = configured(made, NEW_RULES)
    with first(made, tmp_path) as (old, base_id), Held(address, ODD) as held, Arrivals(address) as arrivals:
        assert held.name == ROUTED
        with second(changed, tmp_path / "second", base_id) as new:
            assert new.listeners[MAIN] == address
            assert wait_for(lambda: arrivals.names[-1] == DEFAULT)
            assert held.echoes()
            # The new process counts on from the old one's count.
            routed = f"wasmcustom.tcp_routing.routed.{ROUTED}"
            assert wait_for(lambda: new.counter(routed) >= arrivals.names.count(ROUTED))
            assert old.process.wait(30) == 0
            assert not held.echoes()
            assert reached(address) == DEFAULT
            arrivals.stop()
    assert set(arrivals.names) == {ROUTED, DEFAULT}
    assert arrivals.names[0] == ROUTED


def test_a_configuration_that_the_new_process_refuses_leaves_the_old_one_serving(
    made: Configuration, tmp_path: Path
) -> None:
    address = configuration.fix_port(made)
    changed = configured(made, REFUSED)
    with first(made, tmp_path) as (old, base_id), Held(address, ODD) as held, Arrivals(address) as arrivals:
        with pytest.raises(process.EnvoyError), second(changed, tmp_path / "second", base_id):
            pass
        time.sleep(DRAIN_SECONDS)
        assert old.process.poll() is None
        assert held.echoes()
        assert reached(address) == ROUTED
    assert set(arrivals.names) == {ROUTED}
