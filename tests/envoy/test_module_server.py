"""A module from a server: what a start, a restart and a bad server do, with `nack_on_code_cache_miss` and without (envoy/README.md)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envoy import configuration, discovery, process
from envoy.client import ask
from envoy.configuration import MAIN
from tests.envoy import modules
from tests.envoy.conftest import MODULE, ROUTERS, wait_for
from tests.envoy.modules import ModuleServer

COUNTED = Path("tests/load/guests/counted.wasm").absolute()
"""The same filter as another module: it counts its contexts."""
SUCCESS, REJECTED = "listener_manager.lds.update_success", "listener_manager.lds.update_rejected"
DIGEST = hashlib.sha256(MODULE.read_bytes()).hexdigest()
SOURCE = "127.22.0.11"
ROUTED, DEFAULT, CLOSED = ROUTERS[1], ROUTERS[0], ""
SLOW_SECONDS = 1.0


@pytest.fixture
def server() -> Iterator[ModuleServer]:
    with modules.serve(MODULE) as running:
        yield running


def made_for(server: ModuleServer, ports: dict[str, int], work: Path, **remote: Any) -> configuration.Configuration:
    """Returns a configuration with the main listener alone, whose module comes from the server."""
    made = configuration.for_loopback(MODULE, ports, work / "access.log")
    made["static_resources"]["listeners"] = [configuration.listener(made, MAIN)]
    configuration.add_cluster(made, "modules", [server.port])
    uri = {"uri": f"http://127.0.0.1:{server.port}/filter.wasm", "cluster": "modules", "timeout": "30s"}
    configuration.plugin(made)["vm_config"]["code"] = {"remote": {"http_uri": uri, "sha256": DIGEST} | remote}
    return made


def reached(envoy: process.Envoy, listener: str = MAIN) -> str:
    return ask(envoy.listeners[listener], source=SOURCE)[0]


# ---- with nack_on_code_cache_miss: for updates, not for a start


def test_with_the_nack_a_static_listener_keeps_envoy_from_starting(
    server: ModuleServer, ports: dict[str, int], tmp_path: Path
) -> None:
    made = made_for(server, ports, tmp_path)
    configuration.plugin(made)["vm_config"]["nack_on_code_cache_miss"] = True
    with pytest.raises(process.EnvoyError, match="Unable to create Wasm plugin"), process.run(made, tmp_path):
        pass


def test_with_the_nack_a_file_gives_no_listener_until_it_is_published_again(
    server: ModuleServer, ports: dict[str, int], tmp_path: Path
) -> None:
    made = made_for(server, ports, tmp_path)
    vm = configuration.plugin(made)["vm_config"]
    vm["nack_on_code_cache_miss"] = True
    listeners = discovery.Listeners(made, tmp_path)
    # A restart is no better than the first start.
    for start in (1, 2):
        with process.run(made, tmp_path) as envoy:
            assert wait_for(lambda start=start: server.requests == start, 30)  # type: ignore[misc]
            time.sleep(1)
            assert (envoy.counter(REJECTED), envoy.counter(SUCCESS)) == (1, 0)
            assert envoy.listeners == {}
    with process.run(made, tmp_path) as envoy:
        assert wait_for(lambda: server.requests == 3, 30)

        def taken() -> bool:
            listeners.put()
            return wait_for(lambda: envoy.counter(SUCCESS) == 1, 1)

        assert any(taken() for _ in range(10))
        envoy.read_listeners()
        assert reached(envoy) == ROUTED
        asked = server.requests
        # Without the line the file is one that a start can read; Envoy has the module and takes it at once.
        del vm["nack_on_code_cache_miss"]
        listeners.put()
        assert wait_for(lambda: envoy.counter(SUCCESS) == 2, 30)
        assert reached(envoy) == ROUTED
        assert server.requests == asked
    with process.run(made, tmp_path) as envoy:
        assert reached(envoy) == ROUTED


# ---- without it: for a start, not for updates


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "from a file"])
def test_without_the_nack_envoy_waits_for_a_slow_server_and_then_serves(
    server: ModuleServer, ports: dict[str, int], tmp_path: Path, dynamic: bool
) -> None:
    server.delay = SLOW_SECONDS
    made = made_for(server, ports, tmp_path)
    if dynamic:
        discovery.Listeners(made, tmp_path)
    began = time.monotonic()
    with process.run(made, tmp_path) as envoy:
        assert time.monotonic() - began > SLOW_SECONDS
        assert envoy.log_lines("remote code fetch is unstable and may cause a crash")
        assert [reached(envoy) for _ in range(3)] == [ROUTED] * 3


def test_a_wrong_digest_at_the_start_is_final_and_the_plugins_policy_decides(
    server: ModuleServer, ports: dict[str, int], tmp_path: Path
) -> None:
    made = made_for(server, ports, tmp_path, sha256="0" * 64)
    answers = {MAIN: CLOSED, "FAIL_CLOSED": CLOSED, "FAIL_OPEN": DEFAULT}
    for policy in ("FAIL_CLOSED", "FAIL_OPEN"):
        configuration.add_listener(made, policy)
        plugin = configuration.plugin(made, policy)
        plugin["failure_policy"] = policy
        del plugin["reload_config"]
    with process.run(made, tmp_path) as envoy:
        asked = server.requests
        assert asked == 2 * len(answers)
        for _ in range(2):
            assert {name: reached(envoy, name) for name in answers} == answers
            # Longer than the pause of FAIL_RELOAD: not even a reload asks again.
            time.sleep(1.6)
        assert server.requests == asked


@pytest.mark.parametrize(
    ("retries", "answer"), [(None, CLOSED), (10, ROUTED)], ids=["without retry_policy", "with retry_policy"]
)
def test_a_server_that_comes_late_wants_a_retry_policy(
    server: ModuleServer, ports: dict[str, int], tmp_path: Path, retries: int | None, answer: str
) -> None:
    server.refusals = 4
    back_off = {"base_interval": "0.1s", "max_interval": "1s"}
    retry = {"retry_policy": {"num_retries": retries, "retry_back_off": back_off}} if retries else {}
    with process.run(made_for(server, ports, tmp_path, **retry), tmp_path) as envoy:
        assert reached(envoy) == answer
        assert server.requests == (5 if retries else 2)


def test_an_update_from_a_slow_server_lets_the_old_module_serve_meanwhile(
    ports: dict[str, int], tmp_path: Path
) -> None:
    with modules.serve(COUNTED) as server:
        server.delay = SLOW_SECONDS
        made = made_for(server, ports, tmp_path)
        plugin = configuration.plugin(made)
        remote, local = plugin["vm_config"]["code"], {"local": {"filename": str(MODULE)}}
        remote["remote"]["sha256"] = hashlib.sha256(server.body).hexdigest()
        plugin["vm_config"]["code"] = local
        configuration.fix_port(made)
        listeners = discovery.Listeners(made, tmp_path)
        with process.run(made, tmp_path) as envoy:
            assert reached(envoy) == ROUTED
            plugin["root_id"] = "counted"
            plugin["vm_config"]["code"] = remote
            listeners.put()
            names: set[str] = set()

            def changed() -> bool:
                names.add(reached(envoy))
                return "wasmcustom.contexts.created" in envoy.get("/stats?filter=wasmcustom.contexts")

            assert wait_for(changed, 30)
            assert names | {reached(envoy)} == {ROUTED}
