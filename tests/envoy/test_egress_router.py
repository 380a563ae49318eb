"""Envoy sends the PROXY header of either version, and the router connects to where the client was going."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from egress_router.forwarding import Forwarder
from egress_router.server import EgressRouter
from envoy import process
from envoy.client import ask

SOURCE = "127.22.0.10"
_TYPE = "type.googleapis.com/envoy.extensions"


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def ports(log: list[str]) -> Iterator[tuple[int, int, int]]:
    """A router that forwards, one that tells what the header says, and the destination."""
    stop, loop = asyncio.Event(), asyncio.new_event_loop()
    found: list[int] = []
    ready = threading.Event()
    routers = [
        EgressRouter("egress-router1", forwarder=Forwarder(["192.0.2.0/24"], log.append)),
        EgressRouter("egress-router2", proxy_protocol=True),
        EgressRouter("destination"),
    ]

    async def serve() -> None:
        servers = [await router.start("127.0.0.1", 0) for router in routers]
        found.extend(server.sockets[0].getsockname()[1] for server in servers)
        ready.set()
        await stop.wait()
        for server in servers:
            server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(10)
    yield found[0], found[1], found[2]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def made_for(port: int, version: str) -> dict[str, Any]:
    """Returns a configuration that takes the destination from a PROXY header, as a sidecar has it from the kernel, and passes it on."""
    tcp_proxy = {"@type": f"{_TYPE}.filters.network.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "cluster": "router"}
    listener_filter = {"@type": f"{_TYPE}.filters.listener.proxy_protocol.v3.ProxyProtocol"}
    transport = {
        "@type": f"{_TYPE}.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        "config": {"version": version},
        "transport_socket": {
            "name": "envoy.transport_sockets.raw_buffer",
            "typed_config": {"@type": f"{_TYPE}.transport_sockets.raw_buffer.v3.RawBuffer"},
        },
    }
    endpoint = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}
    return {
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "static_resources": {
            "listeners": [
                {
                    "name": "main",
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                    "listener_filters": [
                        {"name": "envoy.filters.listener.proxy_protocol", "typed_config": listener_filter}
                    ],
                    "filter_chains": [
                        {"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": tcp_proxy}]}
                    ],
                }
            ],
            "clusters": [
                {
                    "name": "router",
                    "connect_timeout": "2s",
                    "type": "STATIC",
                    "transport_socket": {
                        "name": "envoy.transport_sockets.upstream_proxy_protocol",
                        "typed_config": transport,
                    },
                    "load_assignment": {
                        "cluster_name": "router",
                        "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
                    },
                }
            ],
        },
    }


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_the_original_destination_is_reached(
    version: str, ports: tuple[int, int, int], log: list[str], tmp_path: Path
) -> None:
    header = f"PROXY TCP4 10.244.0.10 127.0.0.1 4000 {ports[2]}\r\n".encode()
    with process.run(made_for(ports[0], version), tmp_path) as envoy:
        assert ask(envoy.listeners["main"], SOURCE, header)[0] == "destination"
    assert log == [f"forwards 10.244.0.10:4000 to 127.0.0.1:{ports[2]}"]


def test_the_router_tells_whose_connection_it_is(ports: tuple[int, int, int], tmp_path: Path) -> None:
    header = b"PROXY TCP6 fd00:244::10 2001:db8::80 4000 443\r\n"
    with (
        process.run(made_for(ports[1], "V2"), tmp_path) as envoy,
        socket.create_connection(envoy.listeners["main"], timeout=10) as connection,
    ):
        connection.sendall(header + b"GET /ip HTTP/1.1\r\n\r\n")
        body = connection.makefile("rb").read().partition(b"\r\n\r\n")[2]
    assert json.loads(body) == {
        "origin": "fd00:244::10",
        "destination": "[2001:db8::80]:443",
        "router": "egress-router2",
    }
