"""What Envoy puts around the filter, each as envoy/README.md says: weighted clusters, internal listeners, HTTP, access logs, StatsD.

One Envoy has a listener for each. Some of this is Envoy's own way, which another version may change: then a test here fails.
"""

from __future__ import annotations

import copy
import http.client
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from envoy import configuration, process
from envoy.client import ask
from envoy.configuration import BASELINE, MAIN, Configuration
from tests.envoy.conftest import MODULE, ROUTERS, wait_for

ASKING = Path("tests/envoy/guests/asking.wasm").absolute()
TYPES = "type.googleapis.com/"
EXTENSIONS = TYPES + "envoy.extensions."
EVEN, ODD = "127.0.0.4", "127.0.0.3"
DEFAULT = ROUTERS[0]
COLON = "back|end:8080"
LINE = "%UPSTREAM_CLUSTER% wanted %FILTER_STATE(envoy.tcp_proxy.cluster:PLAIN)%\n"


@dataclass
class Stack:
    """Envoy, its access log, and the socket that StatsD's lines come to."""

    envoy: process.Envoy
    access_log: Path
    statsd: socket.socket

    def reached(self, listener: str, source: str) -> str:
        return ask(self.envoy.listeners[listener], source=source)[0]


def extension(kind: str, name: str, type_name: str, **fields: Any) -> dict[str, Any]:
    """Returns an extension with its configuration."""
    return {"name": f"envoy.{kind}.{name}", "typed_config": {"@type": f"{EXTENSIONS}{type_name}", **fields}}


def add_weighted(made: Configuration, name: str) -> None:
    """Adds a listener whose tcp_proxy has weighted clusters, of which one has all the weight."""
    configuration.add_listener(made, name)
    proxy = configuration.tcp_proxy(made, name)
    del proxy["cluster"]
    proxy["weighted_clusters"] = {"clusters": [{"name": DEFAULT, "weight": 1}]}


def add_http(made: Configuration, name: str, filters: list[Any], access_log: list[Any]) -> None:
    """Adds an HTTP listener that answers by itself."""
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
    manager = extension(
        "filters.network",
        "http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        route_config={"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [answer]}]},
        http_filters=[*filters, extension("filters.http", "router", "filters.http.router.v3.Router")],
        access_log=access_log,
    )
    configuration.add_listener(made, name)["filter_chains"] = [{"filters": [manager]}]


def add_internal(made: Configuration, name: str, inner: str, header: bool) -> None:
    """Adds a listener without the filter, and behind it an internal one with it; between them a PROXY header if wanted."""
    listening = configuration.add_listener(made, inner)
    del listening["address"]
    listening["internal_listener"] = {}
    cluster: dict[str, Any] = {"name": inner, "load_assignment": {"cluster_name": inner}}
    address = {"envoy_internal_address": {"server_listener_name": inner}}
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    if header:
        kind = "filters.listener.proxy_protocol.v3.ProxyProtocol"
        listening["listener_filters"] = [extension("filters.listener", "proxy_protocol", kind)]
        plain = extension("transport_sockets", "raw_buffer", "transport_sockets.raw_buffer.v3.RawBuffer")
        kind = "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
        cluster["transport_socket"] = extension(
            "transport_sockets", "upstream_proxy_protocol", kind, config={"version": "V1"}, transport_socket=plain
        )
    made["static_resources"]["clusters"].append(cluster)
    outer = copy.deepcopy(configuration.listener(made, BASELINE)) | {"name": name}
    made["static_resources"]["listeners"].append(outer)
    configuration.tcp_proxy(made, name)["cluster"] = inner


def add_statsd(made: Configuration, port: int) -> None:
    """Sends statistics to a port of this machine, five times a second."""
    address = {"socket_address": {"protocol": "UDP", "address": "127.0.0.1", "port_value": port}}
    sink = {"@type": TYPES + "envoy.config.metrics.v3.StatsdSink", "address": address}
    made["stats_sinks"] = [{"name": "envoy.stat_sinks.statsd", "typed_config": sink}]
    made["stats_flush_interval"] = "0.2s"


def as_(plugin: dict[str, Any], name: str) -> dict[str, Any]:
    return copy.deepcopy(plugin) | {"name": name, "root_id": name}


@pytest.fixture(scope="module")
def stack(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    work = tmp_path_factory.mktemp("envoy")
    made = configuration.for_loopback(MODULE, ports, work / "access.log")
    log = configuration.tcp_proxy(made)["access_log"][0]["typed_config"]["log_format"]["text_format_source"]
    log["inline_string"] = LINE
    plugin = configuration.plugin(made)
    add_weighted(made, "weighted")
    add_weighted(made, "asked")
    asking = configuration.plugin(made, "asked")
    asking["configuration"]["value"] = "xds.cluster_name"
    asking["vm_config"] |= {"vm_id": "asking", "code": {"local": {"filename": str(ASKING)}}}
    http_filter = extension("filters.http", "wasm", "filters.http.wasm.v3.Wasm", config=as_(plugin, "as_http"))
    logger = "access_loggers.wasm.v3.WasmAccessLog"
    add_http(made, "http", [http_filter], [extension("access_loggers", "wasm", logger, config=as_(plugin, "as_log"))])
    add_internal(made, "internal", "inner", header=False)
    add_internal(made, "internal_with_header", "inner_with_header", header=True)
    internal = extension("bootstrap", "internal_listener", "bootstrap.internal_listener.v3.InternalListener")
    made["bootstrap_extensions"] = [internal]
    rules = {"rules": [{"match": {"source_parity": "ODD"}, "action": {"cluster": COLON}}]}
    configuration.add_listener(made, "colon")
    configuration.plugin(made, "colon")["configuration"] = {"@type": TYPES + "google.protobuf.Struct", "value": rules}
    configuration.add_cluster(made, COLON, [ports[ROUTERS[1]]])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        add_statsd(made, statsd.getsockname()[1])
        with process.run(made, work) as envoy:
            yield Stack(envoy, work / "access.log", statsd)


def wait_for_line(stack: Stack, line: str) -> bool:
    return wait_for(lambda: line in stack.access_log.read_text().splitlines())


# ---- weighted clusters


def test_weighted_clusters_ignore_the_choice_and_the_access_log_shows_both(stack: Stack) -> None:
    assert stack.reached(MAIN, ODD) == ROUTERS[1]
    assert wait_for_line(stack, f"{ROUTERS[1]} wanted {ROUTERS[1]}")
    for source in (ODD, "127.0.0.5", "127.0.0.7"):
        assert stack.reached("weighted", source) == DEFAULT
    assert wait_for_line(stack, f"{DEFAULT} wanted {ROUTERS[1]}")
    # The filter cannot know: it counts and logs what it chose.
    assert stack.envoy.counter(f"wasmcustom.tcp_routing.routed.{ROUTERS[1]}") >= 4
    assert any(line.endswith(f" to {ROUTERS[1]}") for line in stack.envoy.log_lines("Routed source 127.0.0.5:"))


def test_the_cluster_that_was_taken_is_a_property_afterwards_and_not_before(stack: Stack) -> None:
    assert stack.reached("asked", ODD) == DEFAULT
    assert wait_for(lambda: bool(stack.envoy.log_lines(f"log xds.cluster_name = b'{DEFAULT}'")))
    assert stack.envoy.log_lines(f"data xds.cluster_name = b'{DEFAULT}'")
    assert stack.envoy.log_lines("new xds.cluster_name = None")


# ---- internal listeners


def test_an_internal_listener_has_no_source_but_with_a_proxy_header(stack: Stack) -> None:
    assert [stack.reached("internal", source) for source in (EVEN, ODD)] == [DEFAULT, DEFAULT]
    warned = "Failed to parse source address for routing: 'envoy://internal_client_address/'"
    assert wait_for(lambda: len(stack.envoy.log_lines(warned)) == 2)
    assert stack.envoy.counter("wasmcustom.tcp_routing.unparsed") == 2
    assert [stack.reached("internal_with_header", source) for source in (EVEN, ODD)] == ROUTERS
    assert stack.envoy.counter("wasmcustom.tcp_routing.unparsed") == 2


# ---- where the filter does not belong


def test_as_http_filter_and_as_access_logger_it_is_configured_and_does_nothing(stack: Stack) -> None:
    before = stack.envoy.get("/stats?filter=wasmcustom")
    connection = http.client.HTTPConnection(*stack.envoy.listeners["http"], timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"hello")
    connection.close()
    for root_id in ("as_http", "as_log"):
        assert stack.envoy.log_lines(f" {root_id} vm.envoy_tcp_routing: [TCP WASM] Configuration: ")
    assert stack.envoy.get("/stats?filter=wasmcustom") == before
    assert not [line for line in stack.envoy.log_lines() if "[error]" in line or "[critical]" in line]


# ---- StatsD


def test_statsd_gets_well_formed_lines_of_the_counters(stack: Stack) -> None:
    assert [stack.reached("colon", ODD), stack.reached(MAIN, EVEN)] == [ROUTERS[1], ROUTERS[0]]
    wanted = {f"tcp_routing.routed.{ROUTERS[0]}", "tcp_routing.routed.back|end_8080"}
    seen: set[str] = set()
    malformed: set[str] = set()
    deadline = time.monotonic() + 10
    while not wanted <= seen | malformed and time.monotonic() < deadline:
        for line in stack.statsd.recv(65536).decode().splitlines():
            if "tcp_routing" not in line:
                continue
            # A name, a value, a type: a colon too many makes another name and no value of it.
            name = re.fullmatch(r"envoy\.wasmcustom\.([^:]+):\d+\|c", line)
            if name:
                seen.add(name[1])
            else:
                malformed.add(line)
    assert not malformed
    assert wanted <= seen
