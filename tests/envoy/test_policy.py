"""Configured rules on a real Envoy: each kind of match, rejection, the rule in the access log."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import socket
import ssl
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.envoy.policies import (
    DESTINATIONS,
    EVEN,
    FIRST,
    INSIDE,
    LOGS_CLOSING,
    ODD,
    OUTSIDE,
    RANDOM,
    REJECTED,
    SECOND,
    Stack,
    running,
    source_in_canary,
)
from tests.policies import cases


@pytest.fixture(scope="module")
def stack(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(ports, tmp_path_factory.mktemp("envoy")) as running_stack:
        yield running_stack


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
        assert "cluster=- " in line
        assert not LOGS_CLOSING or line.endswith("closed=wasm_downstream_close")


@pytest.mark.parametrize("listener", ["policy", "text"])
@pytest.mark.parametrize(
    ("source", "port", "destination", "destination_port", "router", "rule"),
    [
        (OUTSIDE, 20_001, "192.0.2.1", 7999, SECOND, "range"),
        (OUTSIDE, 20_002, "192.0.2.1", 8000, SECOND, "range"),
        (OUTSIDE, 20_003, "192.0.2.1", 8999, SECOND, "range"),
        (OUTSIDE, 20_004, "192.0.2.1", 9000, FIRST, "-"),
        (OUTSIDE, 24_900, "192.0.2.1", 80, FIRST, "-"),
        (OUTSIDE, 25_000, "192.0.2.1", 80, SECOND, "from"),
        (OUTSIDE, 25_900, "192.0.2.1", 80, SECOND, "from"),
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


_NETWORKS = itertools.count()
"""Clients of one address may get the same port, one after the other, and the access log would have two lines for it."""


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
    source = source_in_canary(False, f"127.31.{next(_NETWORKS)}.0/24")
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


def test_nothing_of_this_wrote_an_error(stack: Stack) -> None:
    assert [line for line in stack.envoy.log_lines() if "[error]" in line or "[critical]" in line] == []
