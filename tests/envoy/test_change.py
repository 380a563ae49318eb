"""Configuration and module are replaced while connections are open and more arrive: none is lost, none goes where neither rule sends it.

The listener comes from a file (LDS), the new module from an HTTP server, both real. Envoy updates the listener's filter chain in
place: it keeps its socket, and new connections get the new chain. What is open lives on in the old one until the drain time is
over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from envoy import configuration, discovery, process, routers
from envoy.client import Held
from envoy.configuration import MAIN
from tests.envoy import modules
from tests.envoy.conftest import MODULE, ROUTERS, wait_for
from tests.load.clients import Arrival, arrive, connect, router, source

HELD = 500
CHANGES = 5
RATE, PROCESSES = 50, 4  # 200 a second
NEW_ROUTERS = ["new-router1", "new-router2"]
COUNTED = Path("tests/load/guests/counted.wasm").absolute()
"""The same filter as another module: it counts its contexts."""
CREATED = "wasmcustom.contexts.created"
# The other way around, so that no connection can be right by chance.
NEW_RULES = json.dumps(
    {
        "rules": [
            {"match": {"source_parity": "EVEN"}, "action": {"cluster": NEW_ROUTERS[1]}},
            {"match": {"source_parity": "ODD"}, "action": {"cluster": NEW_ROUTERS[0]}},
        ]
    }
)
SUCCESS, REJECTED = "listener_manager.lds.update_success", "listener_manager.lds.update_rejected"
UPDATED = "listener_manager.listener_in_place_updated"

_FORK = multiprocessing.get_context("fork")


def is_right(arrival: Arrival) -> bool:
    """Tells whether one of the two configurations sends it where it went."""
    parity = router(arrival.source)
    return arrival.router in (ROUTERS[parity], NEW_ROUTERS[1 - parity])


class Published(discovery.Listeners):
    """The main listener's file, on a port of its own; the module may come from a server."""

    def __init__(self, work: Path, made: configuration.Configuration) -> None:
        made["static_resources"]["listeners"] = [configuration.listener(made, MAIN)]
        self.plugin = configuration.plugin(made)
        self.plugin["vm_config"]["nack_on_code_cache_miss"] = True
        # An update in place keeps the port, and a test that connects meanwhile must know it.
        self.address = configuration.fix_port(made)
        super().__init__(made, work)

    def take_module_from(self, port: int, digest: str) -> None:
        """Makes the module one that Envoy fetches."""
        uri = {"uri": f"http://127.0.0.1:{port}/{COUNTED.name}", "cluster": "modules", "timeout": "30s"}
        self.plugin["root_id"] = "counted"
        self.plugin["vm_config"]["code"] = {"remote": {"http_uri": uri, "sha256": digest}}


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    with routers.run([*ROUTERS, *NEW_ROUTERS], "tests.load.echo") as running:
        yield running


@pytest.fixture
def module_server() -> Iterator[int]:
    with modules.serve(COUNTED) as server:
        yield server.port


@pytest.fixture
def made(ports: dict[str, int], module_server: int, tmp_path: Path) -> configuration.Configuration:
    """The configuration without a published listener: clusters of the old and of the new routers, and of the module's server."""
    made = configuration.for_loopback(MODULE, {name: ports[name] for name in ROUTERS}, tmp_path / "access.log")
    for name in NEW_ROUTERS:
        configuration.add_cluster(made, name, [ports[name]])
    configuration.add_cluster(made, "modules", [module_server])
    return made


@contextlib.contextmanager
def arriving(address: tuple[str, int]) -> Iterator[Callable[[], list[Arrival]]]:
    """Lets connections arrive; gives a function that ends this and returns them."""
    stop, children, answers = _FORK.Event(), [], []
    for number in range(PROCESSES):
        answer, end = _FORK.Pipe()
        answers.append(answer)
        arguments: Any = (address, RATE, 10_001 * number, stop, end)
        children.append(_FORK.Process(target=arrive, args=arguments, daemon=True))
    for child in children:
        child.start()

    def end_of_it() -> list[Arrival]:
        stop.set()
        return [arrival for answer in answers for arrival in answer.recv()]

    yield end_of_it
    stop.set()
    for child in children:
        child.join()


def settled(address: tuple[str, int], names: list[str]) -> float:
    """Waits until only these routers answer, and returns the time."""

    def all_new() -> bool:
        for number in range(40):
            with connect(address, source(number)) as connection:
                if connection.recv(64).decode().strip() not in names:
                    return False
        return True

    assert wait_for(all_new, 60)
    return time.monotonic()


def test_configuration_and_module_change_under_load(
    made: configuration.Configuration,
    module_server: int,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    published = Published(tmp_path, made)
    address = published.address
    right_digest = hashlib.sha256(COUNTED.read_bytes()).hexdigest()
    with process.run(made, tmp_path, workers=4, drain_seconds=600) as envoy, contextlib.ExitStack() as stack:
        assert wait_for(lambda: envoy.counter("listener_manager.total_listeners_active") == 1, 60)
        end_of_arrivals = stack.enter_context(arriving(address))
        held = [stack.enter_context(Held(address, source(number))) for number in range(HELD)]
        assert [connection.name for connection in held] == [ROUTERS[router(connection.source)] for connection in held]

        # Other rules, there and back; each change is complete when only its own routers answer, and then nobody is sent elsewhere.
        periods: list[tuple[float, float, list[str]]] = []
        for change in range(CHANGES):
            rules, names = ((NEW_RULES, NEW_ROUTERS), ("standalone", ROUTERS))[change % 2]
            published.plugin["configuration"]["value"] = rules
            published.put()
            assert wait_for(lambda change=change: envoy.counter(UPDATED) == change + 1, 60)  # type: ignore[misc]
            complete = settled(address, names)
            time.sleep(1)
            periods.append((complete, time.monotonic(), names))

        # Another module, and the old rules: Envoy refuses, fetches, and takes it when it is published again.
        published.plugin["configuration"]["value"] = "standalone"
        published.take_module_from(module_server, right_digest)
        published.put()
        assert wait_for(lambda: envoy.counter(REJECTED) == 1, 60)
        assert wait_for(lambda: envoy.counter("wasm.remote_load_fetch_successes") == 1, 60)
        published.put()
        assert wait_for(lambda: envoy.counter(UPDATED) == CHANGES + 1, 60)
        complete = settled(address, ROUTERS)
        assert envoy.counter(CREATED) > 0

        # A module with a digest that is not its own: refused, however often.
        published.take_module_from(module_server, "0" * 64)
        for attempt in (2, 3):
            published.put()
            assert wait_for(lambda attempt=attempt: envoy.counter(REJECTED) == attempt, 60)  # type: ignore[misc]
            assert wait_for(lambda: envoy.counter("wasm.remote_load_fetch_failures") >= 1, 60)
        before = envoy.counter(CREATED)
        settled(address, ROUTERS)
        assert envoy.counter(CREATED) > before

        lost = [connection.source for connection in held if not connection.echoes()]
        arrivals = end_of_arrivals()
        assert envoy.counter(SUCCESS) == CHANGES + 2
    assert lost == []
    assert [arrival for arrival in arrivals if not is_right(arrival)] == []
    for begin, end, names in (*periods, (complete, time.monotonic(), ROUTERS)):
        within = [arrival for arrival in arrivals if arrival.began > begin and arrival.ended < end]
        assert within
        assert {arrival.router for arrival in within} == set(names)
    record_property("changes", CHANGES + 1)
    record_property("held", len(held))
    record_property("arrived", len(arrivals))
    record_property("by the old rules", len([arrival for arrival in arrivals if arrival.router in ROUTERS]))
    record_property("by the new rules", len([arrival for arrival in arrivals if arrival.router in NEW_ROUTERS]))
    record_property("lost", 0)
    record_property("misrouted", 0)


def test_without_the_nack_a_wrong_digest_closes_new_connections(
    made: configuration.Configuration,
    module_server: int,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    published = Published(tmp_path, made)
    del published.plugin["vm_config"]["nack_on_code_cache_miss"]
    with process.run(made, tmp_path, drain_seconds=600) as envoy, contextlib.ExitStack() as stack:
        assert wait_for(lambda: envoy.counter("listener_manager.total_listeners_active") == 1, 60)
        held = [stack.enter_context(Held(published.address, source(number))) for number in range(20)]
        published.take_module_from(module_server, "0" * 64)
        published.put()

        def closed() -> bool:
            with Held(published.address, source(0)) as connection:
                return not connection.name

        assert wait_for(closed, 60)
        assert all(connection.echoes() for connection in held)
    record_property("held", len(held))
    record_property("held lost", 0)


def test_the_drain_time_ends_what_the_old_configuration_has(made: configuration.Configuration, tmp_path: Path) -> None:
    published = Published(tmp_path, made)
    with process.run(made, tmp_path, drain_seconds=2) as envoy:
        assert wait_for(lambda: envoy.counter("listener_manager.total_listeners_active") == 1, 60)
        with Held(published.address, source(0)) as old:
            published.plugin["configuration"]["value"] = NEW_RULES
            published.put()
            assert wait_for(lambda: envoy.counter(UPDATED) == 1, 60)
            with Held(published.address, source(0)) as new:
                assert wait_for(lambda: not old.is_quiet(), 60)
                assert not old.echoes()
                assert new.echoes()
