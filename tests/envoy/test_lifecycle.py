"""VMs start, stop and are replaced without an error in Envoy's log; what Envoy must refuse, it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from envoy import configuration, discovery, process
from envoy.client import ask
from envoy.configuration import MAIN
from tests.envoy.conftest import MODULE, Stack, wait_for

GIVEN_BACK = 12 << 20
"""Bytes: some 19 MiB with `memory_allocator_manager`, and 4 MiB at most without."""
STRING_VALUE = "type.googleapis.com/google.protobuf.StringValue"


def configured(ports: dict[str, int], work: Path, text: str = "standalone") -> configuration.Configuration:
    made = configuration.for_loopback(MODULE, ports, work / "access.log")
    configuration.plugin(made)["configuration"] = {"@type": STRING_VALUE, "value": text}
    return made


def errors(envoy: process.Envoy) -> list[str]:
    return [line for line in envoy.log_lines() if "[error]" in line or "[critical]" in line]


def test_start_and_stop_without_an_error(ports: dict[str, int], tmp_path: Path) -> None:
    with process.run(configured(ports, tmp_path), tmp_path) as envoy:
        assert ask(envoy.listeners[MAIN], source="127.22.0.11")[0] == "egress-router2"
        # A file there would outlive Envoy. Others may run one too: ask what this one has mapped.
        assert "/dev/shm/" not in Path(f"/proc/{envoy.process.pid}/maps").read_text()
        # What V8 needed for compiling is given back, not kept.
        assert wait_for(lambda: int(json.loads(envoy.get("/memory"))["pageheap_unmapped"]) > GIVEN_BACK, 20)
        assert envoy.stop() == 0
    assert errors(envoy) == []


def test_whoever_waits_is_told_while_the_admin_interface_is_silent(ports: dict[str, int], tmp_path: Path) -> None:
    # Without the cold tier all of CPython is compiled, for seconds.
    module = Path("tests/host/guests/recursion_untiered.wasm").absolute()
    told: list[float] = []
    with process.run(
        configuration.for_loopback(module, ports, tmp_path / "access.log"), tmp_path, progress=told.append
    ):
        pass
    assert len(told) > 3


def test_a_listener_is_replaced_while_envoy_runs(ports: dict[str, int], tmp_path: Path) -> None:
    made = configured(ports, tmp_path)
    count = len(made["static_resources"]["listeners"])
    listeners = discovery.Listeners(made, tmp_path)
    with process.run(made, tmp_path) as envoy:
        assert wait_for(lambda: envoy.counter("listener_manager.total_listeners_active") == count, 30)
        envoy.read_listeners()
        assert ask(envoy.listeners[MAIN], source="127.22.0.11")[0] == "egress-router2"
        configuration.plugin(listeners.made)["configuration"]["value"] = "istio"
        listeners.put()
        success = "listener_manager.lds.update_success"
        assert wait_for(lambda: envoy.counter(success) == 2, 30)
        assert wait_for(lambda: envoy.counter("listener_manager.total_listeners_draining") == 0, 30)
        envoy.listeners.clear()
        envoy.read_listeners()
        # The clusters of the configuration `istio` are not there: closed, and counted as having no route.
        assert ask(envoy.listeners[MAIN], source="127.22.0.11")[0] == ""
        assert wait_for(lambda: envoy.counter("tcp.destination.downstream_cx_no_route") == 1)
        assert errors(envoy) == []


def test_a_configuration_that_the_filter_refuses_keeps_envoy_from_starting(
    ports: dict[str, int], tmp_path: Path
) -> None:
    with pytest.raises(process.EnvoyError), process.run(configured(ports, tmp_path, "no such thing"), tmp_path):
        pass
    assert "no such thing" in (tmp_path / "envoy.log").read_text()


def test_a_module_that_is_none_keeps_envoy_from_starting(ports: dict[str, int], tmp_path: Path) -> None:
    made = configured(ports, tmp_path)
    (tmp_path / "bad.wasm").write_bytes(b"no module")
    configuration.plugin(made)["vm_config"]["code"] = {"local": {"filename": str(tmp_path / "bad.wasm")}}
    with pytest.raises(process.EnvoyError), process.run(made, tmp_path):
        pass


def test_four_workers_stop_without_an_error(stack: Stack) -> None:
    assert stack.envoy.counter("server.concurrency") == 4
    assert stack.envoy.stop() == 0
    assert stack.errors() == []
