"""A project's `envoy.yaml` for tests: what stays is the plugins, how they are configured, and the ways to them.

Listeners without the filter go. Each cluster leads to a stand-in on loopback, and a route that answered by itself leads to one more.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from command import proxy
from command.project import Project
from command.stand_ins import Server

BACKEND = "stand-in"
"""The cluster of routes that need none."""

MARK = "x-stand-in-for"
"""A header that Envoy's router adds, which says whose request it is. What a filter calls by itself does not have it."""

PROBE = "proxy-wasm-probe"
"""A listener that sends back what it gets: so a test knows that the worker has done what came before."""

_ACCESS_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_TCP_PROXY = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
_HTTP_MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_ECHO = {"@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}
_LOGGED = {
    "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "cluster": "%FILTER_STATE(envoy.tcp_proxy.cluster:PLAIN)%",
    "details": "%RESPONSE_CODE_DETAILS%",
}


class Stage:
    """The configuration, and the stand-ins that it leads to."""

    def __init__(self, project: Project, work: Path) -> None:
        self.access_log = work / "access.log"
        self.whole = proxy.load(project)
        resources = self.whole["static_resources"]
        self.whole.pop("dynamic_resources", None)
        self.whole["admin"] = {"address": _address(0)}
        listeners = [one for one in resources["listeners"] if any(proxy.plugins(one))]
        # The name of a listener is how its port is found again.
        self.listeners = {f"plugin-{number}": listener for number, listener in enumerate(listeners)}
        for name, listener in self.listeners.items():
            self._set(name, listener)
        self.servers = {cluster["name"]: Server(cluster["name"]) for cluster in resources.get("clusters", [])}
        self.servers[BACKEND] = Server(BACKEND)
        resources["clusters"] = [*map(self._cluster, resources.get("clusters", [])), self._cluster({"name": BACKEND})]
        probe = {"name": "envoy.filters.network.echo", "typed_config": _ECHO}
        resources["listeners"] = [
            *self.listeners.values(),
            {"name": PROBE, "address": _address(0), "filter_chains": [{"filters": [probe]}]},
        ]

    def listener_of(self, kind: str) -> str | None:
        """Returns the name of the first listener with a plugin for `network` or `http`."""
        names = (name for name, one in self.listeners.items() if kind in {found for found, _ in proxy.plugins(one)})
        return next(names, None)

    def logged(self, client: str) -> list[dict[str, Any]]:
        """Returns what the access log has about a client."""
        lines = self.access_log.read_text().splitlines() if self.access_log.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["client"] == client]

    def _set(self, name: str, listener: dict[str, Any]) -> None:
        for key in (
            "use_original_dst",
            "bind_to_port",
            "additional_addresses",
            "listener_filters",
            "internal_listener",
        ):
            listener.pop(key, None)
        listener |= {"name": name, "address": _address(0)}
        proxy.take_proxy_headers([listener])
        log = {"name": "log", "typed_config": {"@type": _ACCESS_LOG, "path": str(self.access_log)}}
        log["typed_config"]["log_format"] = {"json_format": _LOGGED}  # type: ignore[index]
        for chain in listener.get("filter_chains", []):
            chain.pop("transport_socket", None)
        for config in _configs(listener, _TCP_PROXY):
            config |= {"access_log": [log], "access_log_options": {"flush_access_log_on_connected": True}}
        for config in _configs(listener, _HTTP_MANAGER):
            _set_http(config)
            config["access_log"] = [log]
        for config in _configs(listener, _ROUTER):
            config["suppress_envoy_headers"] = True

    def _cluster(self, cluster: dict[str, Any]) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": _address(self.servers[cluster["name"]].port)}}
        kept = {key: cluster[key] for key in ("name", "connect_timeout", "metadata") if key in cluster}
        options = {
            "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
            "explicit_http_config": {"http2_protocol_options": {}},
        }
        return kept | {
            "type": "STATIC",
            "load_assignment": {"cluster_name": cluster["name"], "endpoints": [{"lb_endpoints": [endpoint]}]},
            "typed_extension_protocol_options": {_HTTP_OPTIONS: options},
        }


def _set_http(config: dict[str, Any]) -> None:
    # A test holds a request for as long as it likes.
    for key in ("rds", "scoped_routes", "stream_idle_timeout", "request_timeout"):
        config.pop(key, None)
    config |= {"codec_type": "AUTO", "generate_request_id": False, "stream_idle_timeout": "0s"}
    everything = {"match": {"prefix": "/"}, "route": {"cluster": BACKEND}}
    routes = config.setdefault("route_config", {})
    hosts = routes.setdefault("virtual_hosts", [{"name": "all", "domains": ["*"], "routes": [everything]}])
    routes.setdefault("request_headers_to_add", []).append(
        {"header": {"key": MARK, "value": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"}}
    )
    for route in (route for host in hosts for route in host.get("routes", [])):
        if route.pop("direct_response", None):
            route["route"] = {"cluster": BACKEND}
            # They were for that one answer. On the way to a cluster Envoy adds them to a filter's own responses too.
            route.pop("response_headers_to_add", None)
        if "route" in route:
            route["route"]["timeout"] = "0s"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _configs(value: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Yields the configurations of a type in a part of a configuration."""
    if isinstance(value, list):
        for item in value:
            yield from _configs(item, kind)
    elif isinstance(value, dict):
        if value.get("@type") == kind:
            yield value
        for item in value.values():
            yield from _configs(item, kind)


@contextlib.contextmanager
def closing(stage: Stage) -> Iterator[None]:
    """Closes the stand-ins at the end of the block."""
    try:
        yield
    finally:
        for server in stage.servers.values():
            server.close()
