"""Derives configurations for loopback from `envoy.yaml`, the one place where the filter chains are written down."""

from __future__ import annotations

import copy
import socket
from pathlib import Path
from typing import Any

import yaml

Configuration = dict[str, Any]

MAIN, BASELINE = "main", "baseline"
PROXY_PROTOCOL, UNIX_SOCKET = "proxy_protocol", "unix_socket"


def load() -> Configuration:
    """Returns `envoy.yaml`, parsed."""
    parsed = yaml.safe_load(Path(__file__).with_name("envoy.yaml").read_text())
    # YAML's anchors make one object of two: a change to one listener must not reach the other.
    unshared: Configuration = _unshared(parsed)
    return unshared


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return [_unshared(item) for item in value] if isinstance(value, list) else value


def listener(configuration: Configuration, name: str) -> dict[str, Any]:
    """Returns a listener by its name; raises KeyError if there is none."""
    found: dict[str, dict[str, Any]] = {item["name"]: item for item in configuration["static_resources"]["listeners"]}
    return found[name]


def plugin(configuration: Configuration, name: str = MAIN) -> dict[str, Any]:
    """Returns the Wasm plugin's part of a listener, the main one if no other is named."""
    wasm: dict[str, Any] = listener(configuration, name)["filter_chains"][0]["filters"][0]["typed_config"]["config"]
    return wasm


def tcp_proxy(configuration: Configuration, name: str = MAIN) -> dict[str, Any]:
    """Returns the part of `tcp_proxy` of a listener, the main one if no other is named."""
    proxy: dict[str, Any] = listener(configuration, name)["filter_chains"][0]["filters"][-1]["typed_config"]
    return proxy


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def for_loopback(module: Path, routers: dict[str, int], access_log: Path) -> Configuration:
    """Returns `envoy.yaml` for loopback: free ports everywhere, the routers by cluster name and port on 127.0.0.1.

    Beside the file's listeners is one more with the main one's filter chain, `proxy_protocol`, which takes the source address from
    a PROXY header.
    """
    configuration = load()
    configuration["admin"]["address"] = _address("127.0.0.1", 0)
    plugin(configuration)["vm_config"]["code"] = {"local": {"filename": str(module)}}
    listeners = configuration["static_resources"]["listeners"]
    for found in listeners:
        found["address"] = _address("127.0.0.1", 0)
        for network_filter in found["filter_chains"][0]["filters"]:
            for log in network_filter["typed_config"].get("access_log", []):
                log["typed_config"]["path"] = str(access_log)
    kind = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
    add_listener(configuration, PROXY_PROTOCOL)["listener_filters"] = [
        {"name": "envoy.filters.listener.proxy_protocol", "typed_config": {"@type": kind}}
    ]
    for cluster in configuration["static_resources"]["clusters"]:
        cluster["type"] = "STATIC"
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"] = _address("127.0.0.1", routers[cluster["name"]])
    return configuration


def add_listener(configuration: Configuration, name: str) -> dict[str, Any]:
    """Adds a listener with the main one's filter chain, on a free port of its own, and returns it to be changed."""
    added = copy.deepcopy(listener(configuration, MAIN)) | {"name": name}
    configuration["static_resources"]["listeners"].append(added)
    return added


def fix_port(configuration: Configuration, name: str = MAIN) -> tuple[str, int]:
    """Gives a listener a port that is free now, for whoever must know it before Envoy runs; returns its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = ("127.0.0.1", int(free.getsockname()[1]))
    listener(configuration, name)["address"] = _address(*address)
    return address


def add_ipv6(configuration: Configuration) -> None:
    """Makes the main listener listen on [::1] as well, on a port of its own, as listener `main_ipv6`."""
    add_listener(configuration, "main_ipv6")["address"] = _address("::1", 0)


def add_unix_socket(configuration: Configuration, path: Path) -> None:
    """Adds listener `unix_socket`, with the main one's filter chain, on a Unix socket."""
    add_listener(configuration, UNIX_SOCKET)["address"] = {"pipe": {"path": str(path)}}


def add_endpoint(cluster: dict[str, Any], port: int) -> None:
    """Adds a port of 127.0.0.1 to a cluster's endpoints."""
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    endpoints.append({"endpoint": {"address": _address("127.0.0.1", port)}})


def add_cluster(configuration: Configuration, name: str, ports: list[int]) -> None:
    """Adds a cluster with these ports of 127.0.0.1 as its endpoints."""
    assignment: dict[str, Any] = {"cluster_name": name, "endpoints": [{"lb_endpoints": []}]}
    cluster = {"name": name, "connect_timeout": "5s", "type": "STATIC", "load_assignment": assignment}
    for port in ports:
        add_endpoint(cluster, port)
    configuration["static_resources"]["clusters"].append(cluster)
