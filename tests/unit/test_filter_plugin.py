"""The routing plugin against an in-process proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from filter import counters
from filter.plugin import Plugin
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm import Action, LogLevel
from proxy_wasm.testing.host import DOWNSTREAM, HostStatus
from proxy_wasm.testing.inprocess import InProcess

NAME = b"set_envoy_filter_state"


@pytest.fixture
def vm(monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    # Each VM defines its own.
    monkeypatch.setattr(counters, "_defined", {})
    with InProcess(Plugin) as vm:
        vm.host.foreign_functions[NAME] = lambda argument: b""
        vm.host.log_level = LogLevel.INFO
        yield vm


def argument(cluster: str) -> bytes:
    message = SetEnvoyFilterStateArguments(
        path="envoy.tcp_proxy.cluster", value=cluster, span=LifeSpan.FilterChain
    ).SerializeToString()
    assert message == b"\x0a\x17envoy.tcp_proxy.cluster\x12" + bytes([len(cluster)]) + cluster.encode()
    return message


def test_only_what_it_needs_is_exported(vm: InProcess) -> None:
    assert vm.exports == {
        "proxy_on_context_create",
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_new_connection",
        "proxy_on_delete",
    }


@pytest.mark.parametrize("configuration", [b"", b"standalone"])
def test_standalone(vm: InProcess, configuration: bytes) -> None:
    assert vm.start(configuration=configuration)
    assert vm.host.lines(LogLevel.INFO) == ['[TCP WASM] Configuration: "standalone"']
    vm.host.logs.clear()
    for source, cluster in (("172.22.0.10:42148", "egress-router1"), ("[::1]:35736", "egress-router2")):
        connection = vm.connection(source=source)
        assert connection.new_connection() == Action.CONTINUE
        assert vm.host.foreign_calls.pop() == (connection.context_id, NAME, argument(cluster))
        assert vm.host.logs.pop() == (LogLevel.INFO, f"[TCP WASM] Routed source {source} to {cluster}")
        connection.close()
    assert not vm.host.logs


@pytest.mark.parametrize(("port", "router_port"), [(80, 8081), (443, 8080), (None, 8080)])
def test_istio(vm: InProcess, port: int | None, router_port: int) -> None:
    assert vm.start(configuration=b"istio")
    properties = {b"source\0address": b"10.0.0.3:12345"}
    if port is not None:
        properties[b"destination\0port"] = port.to_bytes(8, "little")
    connection = vm.connection(properties)
    assert connection.new_connection() == Action.CONTINUE
    cluster = f"outbound|{router_port}||egress-router2.default.svc.cluster.local"
    assert vm.host.foreign_calls == [(connection.context_id, NAME, argument(cluster))]
    assert vm.host.lines()[-1] == f"[TCP WASM] Routed source 10.0.0.3:12345 to {cluster}"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (None, "[TCP WASM] Missing source address property"),
        ("", "[TCP WASM] Missing source address property"),
        ("/tmp/client.sock", "[TCP WASM] Failed to parse source address for routing: '/tmp/client.sock'"),
        ("999.1.1.1:80", "[TCP WASM] Failed to parse source address for routing: '999.1.1.1:80'"),
    ],
)
def test_without_an_address_the_default_cluster_stays(vm: InProcess, source: str | None, line: str) -> None:
    assert vm.start()
    connection = vm.connection(source=source)
    assert connection.new_connection() == Action.CONTINUE
    assert vm.host.logs[1:] == [(LogLevel.WARN, line)]
    assert not vm.host.foreign_calls
    assert not connection.context.closed


@pytest.mark.parametrize("configuration", ["standalone", "FAIL_OPEN", "FAIL_CLOSED"])
def test_a_refused_cluster_is_left_to_the_failure_mode(vm: InProcess, configuration: str) -> None:
    def refuse(argument: bytes) -> bytes:
        raise HostStatus("BAD_ARGUMENT")

    vm.host.foreign_functions[NAME] = refuse
    if configuration != "standalone":
        configuration = f'{{"failure_mode": "{configuration}", "default_action": {{"cluster": "egress-router2"}}}}'
    assert vm.start(configuration=configuration.encode())
    connection = vm.connection(source="10.0.0.1:1")
    closing = "FAIL_CLOSED" in configuration
    assert connection.new_connection() == (Action.PAUSE if closing else Action.CONTINUE)
    assert connection.context.closed == ([DOWNSTREAM] if closing else [])
    line = "[TCP WASM] Failed to set Envoy filter state for egress-router2: proxy_call_foreign_function: status 2"
    assert vm.host.lines(LogLevel.ERROR)[0] == line
    assert len(vm.host.lines(LogLevel.INFO)) == 1


def test_an_unknown_configuration_is_refused(vm: InProcess) -> None:
    assert not vm.start(configuration=b"kubernetes")
    assert vm.host.logs == [
        (
            LogLevel.ERROR,
            "[TCP WASM] Refused: the configuration is 'kubernetes'; "
            'it must be "standalone" (or nothing), "istio", or rules as in tcp_routing.proto',
        )
    ]


def test_a_refused_configuration_leaves_the_last_one(vm: InProcess) -> None:
    assert vm.start(configuration=b"istio")
    assert not vm.configure(b"other")
    assert vm.connection(source="10.0.0.2:1").new_connection() == Action.CONTINUE
    assert vm.host.foreign_calls[0][2] == argument("outbound|8080||egress-router1.default.svc.cluster.local")


def test_above_info_three_host_calls_for_a_connection(vm: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    vm.host.log_level = LogLevel.WARN
    assert vm.start()
    for name in [name for name in dir(vm.host) if name.startswith("proxy_")]:
        method = getattr(vm.host, name)

        def counted(*arguments: object, name: str = name, method: object = method) -> object:
            calls.append(name)
            assert callable(method)
            return method(*arguments)

        monkeypatch.setattr(vm.host, name, counted)
    assert vm.connection(source="10.0.0.2:1").new_connection() == Action.CONTINUE
    assert calls == ["proxy_get_property", "proxy_call_foreign_function", "proxy_increment_metric"]
