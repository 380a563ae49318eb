"""The routing plugin against an in-process proxy."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence

import pytest

from filter import counters
from filter.plugin import Plugin
from filter.server_names import LONGEST, normal_form
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm import Action, LogLevel
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import DOWNSTREAM, HostStatus

NAME = b"set_envoy_filter_state"


@pytest.fixture
def vm(monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    # Each VM defines its own.
    monkeypatch.setattr(counters, "_defined", {})
    with InProcess(Plugin) as vm:
        vm.host.foreign_functions[NAME] = lambda argument: b""
        vm.host.log_level = LogLevel.INFO
        yield vm


RULES = {
    "rules": [
        {"name": "blocked", "match": {"source_cidrs": ["10.0.0.1"]}, "action": {"reject": True}},
        {"name": "left", "match": {"source_cidrs": ["10.0.0.2"]}, "action": {"continue": True}},
    ],
    "default_action": {"cluster": "egress-router2"},
}


def forbid(vm: InProcess, *calls: str, status: str = "INTERNAL_FAILURE") -> dict[str, int]:
    """Has the proxy refuse host calls, as Envoy does without their capability, and returns how often each was made."""
    made = dict.fromkeys(calls, 0)

    def refuse(call: str, *_: object) -> None:
        made[call] += 1
        raise HostStatus(status)

    for call in calls:
        setattr(vm.host, call, functools.partial(refuse, call))
    return made


def outcome(vm: InProcess, source: str) -> tuple[object, bool, list[bytes]]:
    """Returns a connection's action, whether it was closed, and the clusters chosen for it."""
    vm.host.foreign_calls.clear()
    connection = vm.connection(source=source)
    action = connection.new_connection()
    return action, bool(connection.context.closed), [value for _, _, value in vm.host.foreign_calls]


OPTIONAL = (
    "proxy_log",
    "proxy_get_log_level",
    "proxy_define_metric",
    "proxy_increment_metric",
    "proxy_set_property",
)


@pytest.mark.parametrize("calls", [*[[call] for call in OPTIONAL], OPTIONAL], ids=" ".join)
@pytest.mark.parametrize("failure_mode", ["FAIL_OPEN", "FAIL_CLOSED"])
def test_what_is_only_told_decides_about_nothing(vm: InProcess, calls: Sequence[str], failure_mode: str) -> None:
    forbid(vm, *calls)
    assert vm.start(configuration=json.dumps({**RULES, "failure_mode": failure_mode}).encode())
    for _ in range(3):
        assert outcome(vm, "10.0.0.1:1") == (Action.PAUSE, True, [])
        assert outcome(vm, "10.0.0.2:1") == (Action.CONTINUE, False, [])
        assert outcome(vm, "10.0.0.3:1") == (Action.CONTINUE, False, [argument("egress-router2")])
        # What cannot be decided upon is left to the failure mode, and to nothing else.
        assert outcome(vm, "/run/x.sock")[1] == (failure_mode == "FAIL_CLOSED")
    assert not [line for line in vm.host.lines() if "Traceback" in line]


@pytest.mark.parametrize("call", ["proxy_increment_metric", "proxy_set_property"])
def test_a_count_or_a_name_that_is_refused_is_not_tried_again(vm: InProcess, call: str) -> None:
    made = forbid(vm, call, status="BAD_ARGUMENT")
    assert vm.start(configuration=json.dumps(RULES).encode())
    for _ in range(3):
        assert outcome(vm, "10.0.0.1:1") == (Action.PAUSE, True, [])
    assert made[call] == 1
    line = f"[TCP WASM] Not called any more, for the proxy refuses it: {call}: status 2"
    assert vm.host.lines(LogLevel.WARN) == [line]


def test_standalone_needs_neither_a_log_nor_counters(vm: InProcess) -> None:
    forbid(vm, *OPTIONAL)
    assert vm.start(configuration=b"standalone")
    assert outcome(vm, "10.0.0.2:1") == (Action.CONTINUE, False, [argument("egress-router1")])
    assert outcome(vm, "10.0.0.3:1") == (Action.CONTINUE, False, [argument("egress-router2")])


def test_a_cluster_may_be_called_as_a_log_calls_another_rules_target(vm: InProcess) -> None:
    rule = {"name": "b", "match": {"source_parity": "ODD"}, "action": {"cluster": "a"}}
    assert vm.start(configuration=json.dumps({"rules": [rule], "default_action": {"cluster": "a by b"}}).encode())
    assert outcome(vm, "10.0.0.1:1") == (Action.CONTINUE, False, [argument("a")])
    assert outcome(vm, "10.0.0.2:1") == (Action.CONTINUE, False, [argument("a by b")])


@pytest.mark.parametrize("call", ["proxy_get_property", "proxy_call_foreign_function", "proxy_close_stream"])
def test_a_configuration_that_cannot_be_carried_out_is_refused(vm: InProcess, call: str) -> None:
    forbid(vm, call)
    assert not vm.start(configuration=json.dumps(RULES).encode())
    assert vm.host.lines(LogLevel.ERROR) == [
        f"[TCP WASM] Refused: the proxy does not allow {call}, which this needs; add it to allowed_capabilities"
    ]
    closed = {"failure_mode": "FAIL_CLOSED", "default_action": {"cluster": "a"}}
    assert not vm.configure(json.dumps(closed).encode())
    # Only what may close a connection must be able to.
    for read in (b"standalone", b'{"default_action": {"cluster": "a"}}'):
        assert vm.configure(read) == (call == "proxy_close_stream")


def test_a_plugin_that_is_never_configured_closes_connections(vm: InProcess) -> None:
    # Envoy does so if proxy_on_configure is not among the allowed capabilities.
    vm.root = vm.create_context()
    connection = vm.connection(source="10.0.0.1:1")
    assert connection.new_connection() == Action.PAUSE
    assert connection.context.closed == [DOWNSTREAM]
    assert vm.host.lines(LogLevel.ERROR) == [
        "[TCP WASM] Closed: no configuration came; is the capability proxy_on_configure allowed?"
    ]


@pytest.mark.parametrize(
    ("cluster", "name"),
    [
        ("backend:8080", "backend_8080"),
        ("tcp://backend:8080/x", "tcp_backend_8080/x"),
        ("a:/b::c", "a_b__c"),
        ("outbound|80||b.default.svc.cluster.local", "outbound|80||b.default.svc.cluster.local"),
        ("with space @#|", "with space @#|"),
    ],
)
def test_a_counters_name_is_what_envoys_own_would_be(vm: InProcess, cluster: str, name: str) -> None:
    assert vm.start(configuration=json.dumps({"default_action": {"cluster": cluster}}).encode())
    outcome(vm, "10.0.0.1:1")
    counted = [metric.name for metric in vm.host.metrics.values() if metric.value]
    assert counted == [f"tcp_routing.routed.{name}".encode()]


def test_clusters_whose_names_differ_in_a_colon_share_a_counter(vm: InProcess) -> None:
    rules = {
        "rules": [{"match": {"source_parity": "ODD"}, "action": {"cluster": "a:1"}}],
        "default_action": {"cluster": "a_1"},
    }
    assert vm.start(configuration=json.dumps(rules).encode())
    assert outcome(vm, "10.0.0.1:1")[2] == [argument("a:1")]
    assert outcome(vm, "10.0.0.2:1")[2] == [argument("a_1")]
    assert [metric.value for metric in vm.host.metrics.values() if metric.name == b"tcp_routing.routed.a_1"] == [2]


@pytest.mark.parametrize(
    "configured", ["bad.example.net", "bad.example.net.", "BAD.Example.NET.", "*.example.net", "*.EXAMPLE.net."]
)
@pytest.mark.parametrize(
    "asked", ["bad.example.net", "bad.example.net.", "bad.example.net..", "BAD.example.NET", "Bad.Example.Net."]
)
def test_a_dot_or_a_capital_is_no_way_around_a_rule(vm: InProcess, configured: str, asked: str) -> None:
    rules = {"rules": [{"match": {"server_names": [configured]}, "action": {"reject": True}}]}
    assert vm.start(configuration=json.dumps(rules).encode())
    for name, rejected in (
        (asked, True),
        ("x" + asked, configured.startswith("*")),
        ("bad.example.ne", False),
        ("", False),
    ):
        connection = vm.connection({b"connection\0requested_server_name": name.encode()}, "10.0.0.1:1")
        connection.new_connection()
        assert bool(connection.context.closed) == rejected, name


def test_a_name_that_is_too_long_is_still_below_a_wildcard_and_no_other_name(vm: InProcess) -> None:
    exact = "a" * 63 + ".b" * 95
    assert len(exact) == 253
    rules = {"rules": [{"match": {"server_names": ["*.example.net", exact]}, "action": {"reject": True}}]}
    assert vm.start(configuration=json.dumps(rules).encode())
    for name, rejected in (
        ("a" * 300 + ".example.net", True),
        ("a." * 50_000 + "EXAMPLE.net.", True),
        (exact + ".", True),
        ("x" + exact, False),
        ("." * 100_000, False),
        ("\xff" * 300 + "example.net", False),
    ):
        connection = vm.connection({b"connection\0requested_server_name": name.encode("latin-1")}, "10.0.0.1:1")
        connection.new_connection()
        assert bool(connection.context.closed) == rejected, name[:20]
    # However long it is, what is compared is short.
    assert len(normal_form("." * 100_000 + "example.net")) == LONGEST


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
    connection = vm.connection(source=source and source.encode())
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
    failed = "[TCP WASM] Failed to set Envoy filter state for egress-router2: "
    assert vm.host.lines(LogLevel.ERROR)[0] == f"{failed}proxy_call_foreign_function (set_envoy_filter_state): status 2"
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


@pytest.mark.parametrize("level", [LogLevel.INFO, LogLevel.WARN])
@pytest.mark.parametrize("named", [False, True])
def test_rules_that_only_route_do_what_others_do(vm: InProcess, level: LogLevel, named: bool) -> None:
    """There is a context for each connection if a rule has a name, and none otherwise."""
    left = {"match": {"source_cidrs": ["10.0.0.2"]}, "action": {"continue": True}}
    rules = {"rules": [left | ({"name": "left"} if named else {})], "default_action": {"cluster": "a"}}
    vm.host.log_level = level
    assert vm.start(configuration=json.dumps(rules).encode())
    vm.host.logs.clear()
    assert outcome(vm, "10.0.0.2:1") == (Action.CONTINUE, False, [])
    assert outcome(vm, "10.0.0.3:1") == (Action.CONTINUE, False, [argument("a")])
    assert outcome(vm, "/run/x.sock") == (Action.CONTINUE, False, [])
    counted = {metric.name.removeprefix(b"tcp_routing."): metric.value for metric in vm.host.metrics.values()}
    assert counted == {b"continued": 1, b"routed.a": 1, b"unparsed": 1, b"rejected": 0, b"failed": 0}
    by = " by left" if named else ""
    lines = [f"[TCP WASM] Continued source 10.0.0.2:1{by}", "[TCP WASM] Routed source 10.0.0.3:1 to a"]
    assert vm.host.lines(LogLevel.INFO) == (lines if level == LogLevel.INFO else [])
