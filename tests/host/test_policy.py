"""Policies in the built module under wasmtime: it takes, refuses and routes as the same code in plain Python, and as ipaddress says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filter.address import AddressError, packed
from filter.configuration import read_configuration
from filter.plugin import MAX_PORTS, set_cluster_argument
from filter.readers import ConfigurationError
from proxy_wasm.testing.records import DOWNSTREAM
from proxy_wasm.testing.wasm import WasmModule
from tests.policies import cases

MODULE = Path("filter/filter.wasm")
INFO, WARN, ERROR = 2, 3, 4
CONTINUE, PAUSE = 0, 1
SETTINGS = settings(suppress_health_check=[*HealthCheck], deadline=None)


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> WasmModule:
    vm = WasmModule(MODULE, cache=tmp_path_factory.mktemp("compiled"))
    vm.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
    assert vm.start(b"", b"standalone")
    return vm


def configure(vm: WasmModule, text: bytes) -> str:
    """Configures the plugin and returns why it refused, or nothing."""
    vm.host.logs.clear()
    if vm.configure(text):
        return ""
    [line] = vm.host.lines(ERROR)
    return line.removeprefix("[TCP WASM] Refused: ")


def in_plain_python(text: bytes) -> str:
    try:
        read_configuration(text)
    except ConfigurationError as error:
        return str(error)
    return ""


@contextmanager
def connection(
    vm: WasmModule, source: str | None, port: int = 80, server_name: str = "", destination: str = "192.0.2.1:80"
) -> Iterator[tuple[int, str]]:
    """Makes a connection; gives the action and the cluster's name, and lets the rest be read from the host."""
    text = (source or "").rpartition(":")[2]
    from_port = int(text) % (1 << 16) if text.isascii() and text.isdigit() else 0
    properties = {
        b"source\0port": from_port.to_bytes(8, "little"),
        b"destination\0address": destination.encode(),
        b"destination\0port": port.to_bytes(8, "little"),
        b"connection\0requested_server_name": server_name.encode(),
    }
    vm.host.logs.clear()
    vm.host.foreign_calls.clear()
    made = vm.connection(properties, source=source and source.encode())
    action = made.new_connection()
    [cluster] = [argument for _, _, argument in vm.host.foreign_calls] or [b""]
    try:
        yield action, cluster[cluster.rfind(b"\x12") + 2 :].decode()
    finally:
        made.close()


def became(vm: WasmModule, where: cases.Connection) -> tuple[str, dict[str, object]]:
    """Returns the name and the action of the rule that decided about a connection, told by what the host saw."""
    with connection(vm, where.source, where.port, where.server_name, where.destination) as (action, cluster):
        context = next(context for context in vm.host.contexts.values() if context.parent_context_id)
        name = context.filter_state.get(b"tcp_routing.rule", b"").decode()
        closed = context.closed
    assert vm.host.lines(WARN) == vm.host.lines(ERROR) == []
    if closed:
        assert (closed, action, cluster) == ([DOWNSTREAM], PAUSE, "")
        return name, {"reject": True}
    assert action == CONTINUE
    return name, {"cluster": cluster} if cluster else {"continue": True}


@SETTINGS
@given(cases.POLICIES, st.booleans(), st.lists(cases.CONNECTIONS, min_size=3, max_size=3))
def test_random_policies_route_as_ipaddress_says(
    vm: WasmModule, policy: cases.Policy, as_struct: bool, connections: list[cases.Connection]
) -> None:
    policy = cases.reachable(policy)
    text = json.dumps(policy).encode()
    if as_struct:
        text = json_format.ParseDict(policy, Struct()).SerializeToString()
    assert configure(vm, text) == ""
    for where in connections:
        name, action = cases.decide(policy, where)
        if "cluster" in action:
            action = {"cluster": action["cluster"].replace("{port}", str(where.port))}
        assert became(vm, where) == (name, action)


@SETTINGS
@given(cases.POLICIES, st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=2), st.booleans())
def test_damaged_configurations_are_refused_as_in_plain_python(
    vm: WasmModule, policy: cases.Policy, damage: list[tuple[int, int]], as_struct: bool
) -> None:
    text = bytearray(json.dumps(policy).encode())
    if as_struct:
        text = bytearray(json_format.ParseDict(policy, Struct()).SerializeToString())
    for at, byte in damage:
        text[at % len(text)] = byte
    assert configure(vm, bytes(text)) == in_plain_python(bytes(text))


@SETTINGS
@given(st.binary(max_size=60) | st.text('{}[]",:01eE.-+ntfalsru\\', max_size=40).map(str.encode))
def test_any_bytes_are_refused_as_in_plain_python(vm: WasmModule, text: bytes) -> None:
    assert configure(vm, text) == in_plain_python(text)


@SETTINGS
@given(
    st.text("0123456789abcdef:.[]%/x", max_size=40) | st.text(max_size=20) | cases.CONNECTIONS.map(lambda c: c.source)
)
def test_any_source_is_read_as_in_plain_python(vm: WasmModule, source: str) -> None:
    policy = {
        "rules": [{"match": {"source_percentage": 50}, "action": {"cluster": "low"}}],
        "default_action": {"cluster": "high"},
    }
    assert configure(vm, json.dumps(policy).encode()) == ""
    read = cases.read(policy)
    with connection(vm, source) as (action, cluster):
        assert action == CONTINUE
        try:
            assert cluster == read.decide(packed(source.encode())).action.cluster
        except AddressError as error:
            assert cluster == ""
            assert vm.host.lines(WARN) == [f"[TCP WASM] {error}"]


def test_the_cluster_for_a_port_is_kept_but_not_for_every_port(vm: WasmModule) -> None:
    assert configure(vm, b'{"default_action": {"cluster": "outbound|{port}||c"}}') == ""
    for port in (*range(1, 2 * MAX_PORTS), 1, 65535):
        with connection(vm, "10.0.0.1:1", port) as (_, cluster):
            assert cluster == f"outbound|{port}||c"
            assert vm.host.foreign_calls[0][2] == set_cluster_argument(cluster)
    pages = vm.memory_pages
    for port in range(1, 65536, 7):
        with connection(vm, "10.0.0.1:1", port):
            pass
    assert vm.memory_pages == pages
    with connection(vm, "10.0.0.1:1", 0) as (action, cluster):
        assert (action, cluster) == (CONTINUE, "")
        assert vm.host.lines(WARN) == ["[TCP WASM] Missing destination port property"]


def test_counters_say_what_became_of_connections(vm: WasmModule) -> None:
    policy = {
        "rules": [
            {"name": "no", "match": {"source_cidrs": ["192.0.2.0/24"]}, "action": {"reject": True}},
            {"match": {"source_parity": "ODD"}, "action": {"cluster": "odd"}},
        ],
        "failure_mode": "FAIL_CLOSED",
    }
    assert configure(vm, json.dumps(policy).encode()) == ""

    def counts() -> dict[str, int]:
        return {metric.name.decode().removeprefix("tcp_routing."): metric.value for metric in vm.host.metrics.values()}

    before = counts()
    for times, source in enumerate(["192.0.2.1:1", "10.0.0.1:1", "10.0.0.2:1", "/a/path"], 1):
        for _ in range(times):
            with connection(vm, source) as (action, _):
                assert action == (PAUSE if source[0] in "1/" and times in (1, 4) else CONTINUE)
    del vm.host.foreign_functions[b"set_envoy_filter_state"]
    with connection(vm, "10.0.0.3:1") as (action, _):
        assert action == PAUSE
    vm.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
    made = {name: count - before[name] for name, count in counts().items() if count != before[name]}
    assert made == {"rejected": 1, "routed.odd": 2, "continued": 3, "unparsed": 4, "failed": 1}
    # Configured anew, the same counters are used: the proxy would keep every definition.
    defined = len(vm.host.metrics)
    assert configure(vm, json.dumps(policy).encode()) == ""
    assert len(vm.host.metrics) == defined


def test_memory_stays_flat_over_many_configurations_and_connections(vm: WasmModule) -> None:
    policies = [
        json.dumps(
            {"rules": [{"name": str(i), "match": {"source_cidrs": [f"10.{i}.0.0/16"]}, "action": {"reject": True}}]}
        )
        for i in range(200)
    ]

    def run(times: int) -> None:
        for _ in range(times):
            for policy in policies:
                assert configure(vm, policy.encode()) == ""
                with connection(vm, "10.1.2.3:4"):
                    pass

    run(2)
    pages = vm.memory_pages
    run(10)
    assert vm.memory_pages == pages
