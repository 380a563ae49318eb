"""Configured rules on a real Envoy: each kind of match, rejection, failing open and closed, counters, the rule in the access log."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import re
import socket
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from envoy import configuration, process
from envoy.client import ask
from filter.address import packed
from filter.pack_cidrs import pack
from filter.policy import source_position
from tests.envoy.conftest import MODULE, ROUTERS, wait_for
from tests.policies import cases

STRUCT = "type.googleapis.com/google.protobuf.Struct"
STRING = "type.googleapis.com/google.protobuf.StringValue"
LISTENER_FILTERS = {
    "proxy_protocol": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    "tls_inspector": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
}
LINE = (
    "%DOWNSTREAM_REMOTE_ADDRESS% cluster=%UPSTREAM_CLUSTER% rule=%FILTER_STATE(wasm.tcp_routing.rule:PLAIN)% "
    "flags=%RESPONSE_FLAGS% sni=%REQUESTED_SERVER_NAME% closed=%DOWNSTREAM_LOCAL_CLOSE_REASON%\n"
)
FIRST, SECOND = ROUTERS
REJECTED = ""
COLONS = "tcp://back:8080:/x"

POLICY: cases.Policy = {
    "rules": [
        {
            "name": "blocked",
            "match": {"source_cidrs": ["203.0.113.0/24", "2001:db8:bad::/48"]},
            "action": {"reject": True},
        },
        {"name": "left", "match": {"destination_ports": [7, 9]}, "action": {"continue": True}},
        {"name": "by port", "match": {"destination_ports": [81, 82]}, "action": {"cluster": "port|{port}|"}},
        {"name": "canary", "match": {"source_percentage": 10}, "action": {"cluster": SECOND}},
        {
            "match": {"source_cidrs": ["198.51.100.0/24"], "source_parity": "ODD", "destination_ports": [80]},
            "action": {"cluster": SECOND},
        },
        {
            "name": "names",
            "match": {"server_names": ["www.example.com", "*.example.org"]},
            "action": {"cluster": SECOND},
        },
        {"name": "range", "match": {"destination_ports": [7999, "8000-8999"]}, "action": {"cluster": SECOND}},
        {"name": "from", "match": {"source_ports": ["50000-50999"]}, "action": {"cluster": SECOND}},
        {
            "name": "to",
            "match": {"destination_cidrs": ["198.18.0.0/15", "2001:db8:18::/48"]},
            "action": {"cluster": SECOND},
        },
        {"name": "listed", "match": {"source_cidrs": ["list:some", "list:many"]}, "action": {"cluster": SECOND}},
    ],
    "cidr_lists": {
        "some": {"cidrs": ["198.51.100.128/25"]},
        "many": {"packed": pack([f"100.{i >> 7}.{(i & 127) << 1}.0/24" for i in range(4096)] + ["2001:db8:77::/48"])},
    },
    "default_action": {"cluster": FIRST},
}
DESTINATIONS = {4: "192.0.2.1", 6: "2001:db8::1"}
NEEDS_SOURCE: cases.Policy = {"rules": [{"match": {"source_parity": "EVEN"}, "action": {"cluster": SECOND}}]}


def random_policies(count: int) -> list[cases.Policy]:
    """Returns policies of several rules, the same ones each time."""
    found: list[cases.Policy] = []

    @settings(
        max_examples=400, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(cases.POLICIES)
    def draw(policy: cases.Policy) -> None:
        policy = cases.reachable(policy)
        if len(policy.get("rules", [])) >= 3 and policy not in found:
            found.append(policy)

    draw()
    assert len(found) >= count
    return found[:count]


RANDOM = random_policies(8)


def configure(made: configuration.Configuration, name: str, policy: cases.Policy) -> None:
    """Gives a listener's plugin a policy."""
    configuration.plugin(made, name)["configuration"] = {"@type": STRUCT, "value": policy}


def add(made: configuration.Configuration, name: str, policy: cases.Policy, *listener_filters: str) -> dict[str, Any]:
    """Adds a listener with a policy."""
    added = configuration.add_listener(made, name)
    added["listener_filters"] = [
        {"name": f"envoy.filters.listener.{kind}", "typed_config": {"@type": LISTENER_FILTERS[kind]}}
        for kind in listener_filters
    ]
    configure(made, name, policy)
    return added


class Stack:
    """Envoy and its access log."""

    def __init__(self, envoy: process.Envoy, access_log: Path, work: Path) -> None:
        self.envoy = envoy
        self.access_log = access_log
        self.work = work

    def connect(
        self, listener: str, source: str, port: int = 80, destination_port: int = 80, destination: str = ""
    ) -> str:
        """Connects with a PROXY header and returns the router's name, or REJECTED."""
        version = ipaddress.ip_address(source).version
        destination = destination or DESTINATIONS[version]
        header = f"PROXY TCP{version} {source} {destination} {port} {destination_port}\r\n".encode()
        return ask(self.envoy.listeners[listener], header=header)[0]

    def logged(self, source: str) -> str:
        """Returns the access log's line for a source."""

        def line() -> str:
            lines = self.access_log.read_text().splitlines() if self.access_log.exists() else []
            return next((line for line in lines if line.startswith(f"{source} ")), "")

        assert wait_for(lambda: bool(line())), source
        return line()

    def count(self, name: str) -> int:
        return self.envoy.counter(f"wasmcustom.tcp_routing.{name}")


@pytest.fixture(scope="module")
def stack(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    work = tmp_path_factory.mktemp("envoy")
    access_log = work / "access.log"
    made = configuration.for_loopback(MODULE, ports, access_log)
    [tcp_proxy] = configuration.listener(made, "main")["filter_chains"][0]["filters"][1:]
    tcp_proxy["typed_config"]["access_log"][0]["typed_config"]["log_format"]["text_format_source"] = {
        "inline_string": LINE
    }
    add(made, "policy", POLICY, "proxy_protocol")
    add(made, "text", {}, "proxy_protocol")
    configuration.plugin(made, "text")["configuration"] = {"@type": STRING, "value": json.dumps(POLICY)}
    add(made, "tls", POLICY, "tls_inspector")
    add(made, "colons", {"default_action": {"cluster": COLONS}}, "proxy_protocol")
    configuration.add_cluster(made, COLONS, [ports[SECOND]])
    for mode in ("FAIL_OPEN", "FAIL_CLOSED"):
        add(made, mode, {**NEEDS_SOURCE, "failure_mode": mode})["address"] = {"pipe": {"path": socket_path(mode)}}
    add(made, "sourceless", {"default_action": {"cluster": SECOND}})["address"] = {
        "pipe": {"path": socket_path("sourceless")}
    }
    for place, policy in enumerate(RANDOM):
        add(made, f"random{place}", policy, "proxy_protocol")
    configuration.add_cluster(made, "port|81|", [ports[SECOND]])
    for name, router in (("a", FIRST), ("b", SECOND)):
        configuration.add_cluster(made, name, [ports[router]])
    for port in cases.PORTS:
        configuration.add_cluster(made, f"outbound|{port}||c", [ports[SECOND]])
    try:
        with process.run(made, work, workers=2) as envoy:
            yield Stack(envoy, access_log, work)
    finally:
        for mode in ("FAIL_OPEN", "FAIL_CLOSED", "sourceless"):
            Path(socket_path(mode)).unlink(missing_ok=True)


def socket_path(name: str) -> str:
    return f"/tmp/pw-{os.getpid()}-{name}.sock"  # short enough for a socket


def source_in_canary(inside: bool, network: str) -> str:
    """Returns a source in a network whose position is, or is not, below 10 %."""
    hosts = map(str, ipaddress.ip_network(network))
    return next(host for host in hosts if (source_position(packed(host.encode())) < 1000) == inside)


OUTSIDE = source_in_canary(False, "192.0.2.0/24")
INSIDE = source_in_canary(True, "192.0.2.0/24")
ODD = next(f"198.51.100.{last}" for last in range(1, 256, 2) if source_position(bytes([198, 51, 100, last])) >= 1000)
EVEN = next(f"198.51.100.{last}" for last in range(0, 256, 2) if source_position(bytes([198, 51, 100, last])) >= 1000)


@pytest.mark.parametrize("listener", ["policy", "text"])
@pytest.mark.parametrize(
    ("kind", "source", "destination_port", "router", "rule"),
    [
        ("CIDR", "203.0.113.255", 80, REJECTED, "blocked"),
        ("CIDR, IPv6", "2001:db8:bad::1", 80, REJECTED, "blocked"),
        ("CIDR, IPv4-mapped", "::ffff:203.0.113.1", 80, REJECTED, "blocked"),
        ("port", OUTSIDE, 9, FIRST, "left"),
        ("{port}", OUTSIDE, 81, SECOND, "by port"),
        ("{port}, no such cluster", OUTSIDE, 82, REJECTED, "by port"),
        ("percentage", INSIDE, 80, SECOND, "canary"),
        ("all of CIDR, parity and port", ODD, 80, SECOND, "-"),
        ("not the parity", EVEN, 80, FIRST, "-"),
        ("not the port", ODD, 443, FIRST, "-"),
        ("none", OUTSIDE, 80, FIRST, "-"),
    ],
)
def test_each_kind_of_match(
    stack: Stack, listener: str, kind: str, source: str, destination_port: int, router: str, rule: str
) -> None:
    port = 20_000 + zlib.crc32(f"{listener} {kind}".encode()) % 20_000
    assert stack.connect(listener, source, port, destination_port) == router
    line = stack.logged(f"[{source}]:{port}" if ":" in source else f"{source}:{port}")
    assert f" rule={rule} " in line
    if rule == "blocked":
        # What a reader of the log sees of a rejection: the wasm filter closed it, and no cluster was chosen.
        assert "cluster=- " in line and line.endswith("closed=wasm_downstream_close")


@pytest.mark.parametrize("listener", ["policy", "text"])
@pytest.mark.parametrize(
    ("source", "port", "destination", "destination_port", "router", "rule"),
    [
        (OUTSIDE, 20_001, "192.0.2.1", 7999, SECOND, "range"),
        (OUTSIDE, 20_002, "192.0.2.1", 8000, SECOND, "range"),
        (OUTSIDE, 20_003, "192.0.2.1", 8999, SECOND, "range"),
        (OUTSIDE, 20_004, "192.0.2.1", 9000, FIRST, "-"),
        (OUTSIDE, 49_900, "192.0.2.1", 80, FIRST, "-"),
        (OUTSIDE, 50_000, "192.0.2.1", 80, SECOND, "from"),
        (OUTSIDE, 50_900, "192.0.2.1", 80, SECOND, "from"),
        (OUTSIDE, 20_005, "198.17.255.255", 80, FIRST, "-"),
        (OUTSIDE, 20_006, "198.18.0.1", 80, SECOND, "to"),
        (OUTSIDE, 20_007, "198.19.255.254", 80, SECOND, "to"),
        (source_in_canary(False, "2001:db8:2::/120"), 20_008, "2001:db8:18::1", 80, SECOND, "to"),
        (source_in_canary(False, "198.51.100.128/25"), 20_009, "192.0.2.1", 7100, SECOND, "listed"),
        (source_in_canary(False, "100.31.254.0/24"), 20_010, "192.0.2.1", 80, SECOND, "listed"),
        (source_in_canary(False, "100.31.255.0/24"), 20_011, "192.0.2.1", 80, FIRST, "-"),
        (source_in_canary(False, "2001:db8:77:ffff::/120"), 20_012, "2001:db8::1", 80, SECOND, "listed"),
    ],
)
def test_ports_destinations_and_lists(
    stack: Stack,
    listener: str,
    source: str,
    port: int,
    destination: str,
    destination_port: int,
    router: str,
    rule: str,
) -> None:
    port += 20 * (listener == "text")
    assert stack.connect(listener, source, port, destination_port, destination) == router
    assert f" rule={rule} " in stack.logged(f"[{source}]:{port}" if ":" in source else f"{source}:{port}")


@pytest.mark.parametrize(
    ("server_name", "router", "rule"),
    [
        ("www.example.com", SECOND, "names"),
        ("WWW.Example.COM", SECOND, "names"),
        ("a.b.example.org", SECOND, "names"),
        # Neither capitals, nor a dot at the end, nor a length that DNS does not have is a way around a rule.
        ("www.example.com.", SECOND, "names"),
        ("A.b.Example.ORG.", SECOND, "names"),
        (".".join(["a" * 63] * 3 + ["b" * 51, "example.org"]), SECOND, "names"),
        ("example.org", FIRST, "-"),
        ("www.example.net", FIRST, "-"),
        (None, FIRST, "-"),
    ],
)
def test_the_server_name_of_a_real_client_hello(stack: Stack, server_name: str | None, router: str, rule: str) -> None:
    source = source_in_canary(False, "127.31.0.0/16")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(stack.envoy.listeners["tls"], 10, (source, 0)) as connection:
        local = "{}:{}".format(*connection.getsockname())
        # The routers speak no TLS: what counts is whom the hello went to.
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            context.wrap_socket(connection, server_hostname=server_name)
    line = stack.logged(local)
    assert f"cluster={router} rule={rule} " in line
    assert f"sni={(server_name or '-').lower()} " in line


def test_a_connection_without_an_address_fails_open_or_closed_as_configured(stack: Stack) -> None:
    before = stack.count("unparsed")
    assert ask(socket_path("FAIL_OPEN"))[0] == FIRST
    assert ask(socket_path("FAIL_CLOSED"))[0] == REJECTED
    assert stack.count("unparsed") - before == 2
    # Where no rule looks at the source, none need be there.
    assert ask(socket_path("sourceless"))[0] == SECOND
    assert stack.count("unparsed") - before == 2


def test_connections_are_counted_by_what_became_of_them(stack: Stack) -> None:
    counters = [
        f"routed.{FIRST}",
        f"routed.{SECOND}",
        "routed.port|{port}|",
        "continued",
        "rejected",
        "unparsed",
        "failed",
    ]

    def counts() -> dict[str, int]:
        lines = stack.envoy.get("/stats?filter=wasmcustom&format=text").splitlines()
        found = dict(line.removeprefix("wasmcustom.tcp_routing.").rsplit(": ", 1) for line in lines)
        return {name: int(found[name]) for name in counters}

    before = counts()
    for times, (source, port) in enumerate(
        [(OUTSIDE, 80), (INSIDE, 80), (OUTSIDE, 81), (OUTSIDE, 7), ("203.0.113.9", 80)], 1
    ):
        for _ in range(times):
            stack.connect("policy", source, 30_000, port)
    made = {name: count - before[name] for name, count in counts().items()}
    assert list(made.values()) == [1, 2, 3, 4, 5, 0, 0]
    assert stack.count("failed") == 0


def test_prometheus_has_the_clusters_as_a_label(stack: Stack) -> None:
    stack.connect("policy", OUTSIDE)
    text = stack.envoy.get("/stats/prometheus?filter=wasmcustom")
    number = stack.count(f"routed.{FIRST}")
    assert "# TYPE tcp_routing_routed counter" in text
    assert re.search(rf'^tcp_routing_routed\{{cluster="{FIRST}"\}} {number}$', text, re.MULTILINE)
    assert re.search(r'^tcp_routing_routed\{cluster="port\|\{port\}\|"\} \d+$', text, re.MULTILINE)
    for outcome in ("continued", "rejected", "unparsed", "failed"):
        assert re.search(rf"^tcp_routing_{outcome}\{{\}} \d+$", text, re.MULTILINE)


def test_a_counter_has_the_clusters_name_as_envoys_own_counters_have_it(stack: Stack) -> None:
    assert stack.connect("colons", OUTSIDE) == SECOND
    own = stack.envoy.get("/stats/prometheus?filter=upstream_cx_total")
    ours = stack.envoy.get("/stats/prometheus?filter=wasmcustom")
    [label] = re.findall(r'envoy_cluster_name="(tcp_back[^"]*)"', own)
    assert label == "tcp_back_8080_x"
    assert f'tcp_routing_routed{{cluster="{label}"}} 1' in ours
    assert stack.envoy.counter(f"cluster.{label}.upstream_cx_total") == 1
    assert stack.count(f"routed.{label}") == 1


@pytest.mark.parametrize("place", range(len(RANDOM)))
def test_random_policies_and_addresses_go_where_ipaddress_says(stack: Stack, place: int) -> None:
    policy, expected = RANDOM[place], []
    connections: list[cases.Connection] = []

    @settings(
        max_examples=60, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(cases.CONNECTIONS)
    def draw(connection: cases.Connection) -> None:
        # Envoy takes no PROXY header from an address that no client can have.
        address = ipaddress.ip_address(connection.source.rpartition(":")[0].strip("[]"))
        if not (address.is_multicast or address.is_unspecified or str(connection.address) == "255.255.255.255"):
            destination = DESTINATIONS[address.version]
            connections.append(cases.Connection(connection.source, connection.port, "", destination))

    draw()
    routers = {"a": FIRST, "b": SECOND, "outbound|{port}||c": SECOND}
    reached = []
    for connection in connections:
        _, action = cases.decide(policy, connection)
        # The cluster for port 1 is not there.
        gone = "{port}" in action.get("cluster", "") and connection.port not in cases.PORTS
        expected.append(REJECTED if "reject" in action or gone else routers.get(action.get("cluster", ""), FIRST))
        host = connection.source.rpartition(":")[0].strip("[]")
        reached.append(stack.connect(f"random{place}", host, 4711, connection.port))
    assert len(reached) > 30
    assert list(zip(connections, reached, strict=True)) == list(zip(connections, expected, strict=True))
    print(f"policy {place}: {len(policy['rules'])} rules, {len(reached)} connections, misrouted: none")


def test_a_refused_update_keeps_the_old_rules_and_a_refused_start_is_none(
    ports: dict[str, int], tmp_path: Path
) -> None:
    made = configuration.for_loopback(MODULE, ports, tmp_path / "access.log")
    good = {"rules": [{"match": {"source_parity": "EVEN"}, "action": {"cluster": SECOND}}]}
    bad = {
        "rules": [*good["rules"], {"match": {"source_cidrs": ["10.0.0.0/8", "10.0.0.1/8"]}, "action": {"reject": True}}]
    }
    reason = "rules[1].match.source_cidrs[1]: '10.0.0.1/8' has bits set behind the prefix of 8"
    configure(made, "main", bad)
    with pytest.raises(process.EnvoyError), process.run(made, tmp_path):
        pass
    log = tmp_path / "envoy.log"
    [line] = [line for line in log.read_text().splitlines() if "rules[" in line]
    assert "[error]" in line and line.endswith(f"[TCP WASM] Refused: {reason}")
    log.unlink()

    listeners = made["static_resources"].pop("listeners")[:1]
    kind = "type.googleapis.com/envoy.config.listener.v3.Listener"

    def publish(policy: cases.Policy, version: int) -> None:
        configure({"static_resources": {"listeners": listeners}}, "main", policy)
        whole = {"version_info": str(version), "resources": [{"@type": kind, **item} for item in listeners]}
        (tmp_path / "next.json").write_text(json.dumps(whole))
        (tmp_path / "next.json").rename(tmp_path / "listeners.json")

    publish(good, 1)
    made["node"] = {"id": "test", "cluster": "test"}
    made["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(tmp_path / "listeners.json")}}}
    with process.run(made, tmp_path) as envoy:
        assert wait_for(lambda: envoy.counter("listener_manager.total_listeners_active") == 1, 60)
        envoy.read_listeners()
        address = envoy.listeners["main"]
        assert ask(address, source="127.22.0.10")[0] == SECOND
        publish(bad, 2)
        assert wait_for(lambda: envoy.counter("listener_manager.lds.update_rejected") == 1, 60)
        assert [line.partition("Refused: ")[2] for line in envoy.log_lines("rules[")] == [reason]
        for source, router in (("127.22.0.10", SECOND), ("127.22.0.11", FIRST)):
            assert ask(address, source=source)[0] == router
        publish({"rules": [{"action": {"reject": True}}]}, 3)
        assert wait_for(lambda: envoy.counter("listener_manager.lds.update_success") == 2, 60)
        assert wait_for(lambda: ask(address, source="127.22.0.10")[0] == REJECTED, 60)


def test_nothing_of_this_wrote_an_error(stack: Stack) -> None:
    assert [line for line in stack.envoy.log_lines() if "[error]" in line or "[critical]" in line] == []
