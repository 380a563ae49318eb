"""Envoys for HTTP: one with a listener for each variant, and a small one behind it that answers what filters ask."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.http.variants import LARGE, SMALL, Variant
from bench.proxy import binary, thread_cpu
from envoy import process
from envoy.configuration import Configuration

WORKER = "wrk:"
_MANY = 1_000_000
_TYPE = "type.googleapis.com/envoy.extensions.filters"
_PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_ADMIN = {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}


@dataclass
class Proxy:
    """A running Envoy and the port of each variant."""

    envoy: process.Envoy
    ports: dict[str, int]

    def worker_cpu(self) -> int:
        """Returns the nanoseconds that the workers have been on a processor, by the scheduler's own accounting."""
        return thread_cpu(self.envoy.process.pid, WORKER)


def _wasm(variant: Variant, work: Path) -> list[dict[str, Any]]:
    if variant.module is None:
        return []
    plugin = {
        "name": variant.name,
        "vm_config": {
            "vm_id": variant.name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(binary(variant.module, work))}},
        },
    }
    typed = {"@type": f"{_TYPE}.http.wasm.v3.Wasm", "config": plugin}
    return [{"name": "envoy.filters.http.wasm", "typed_config": typed}]


def _listener(name: str, filters: list[dict[str, Any]], body: int) -> dict[str, Any]:
    """Returns a listener that answers each request by itself, HTTP/1.1 or HTTP/2, whichever the client speaks."""
    answer = {"status": 200, "body": {"inline_string": "a" * body}}
    manager = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {
            "max_direct_response_body_size_bytes": LARGE,
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": answer}],
                }
            ],
        },
        "http_filters": [
            *filters,
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"},
            },
        ],
    }
    chain = [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    return {"name": name, "address": address, "filter_chains": chain}


def _cluster(name: str, port: int) -> dict[str, Any]:
    """Returns a cluster of one port; one connection serves all requests, as HTTP/2 can."""
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    options = {
        "@type": f"type.googleapis.com/{_PROTOCOLS}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    limits = {"max_connections": _MANY, "max_pending_requests": _MANY, "max_requests": _MANY}
    return {
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {_PROTOCOLS: options},
    }


def _configuration(listeners: list[dict[str, Any]], clusters: list[dict[str, Any]]) -> Configuration:
    return {"admin": _ADMIN, "static_resources": {"listeners": listeners, "clusters": clusters}}


@contextlib.contextmanager
def run(variants: Sequence[Variant], work: Path, workers: int) -> Iterator[Proxy]:
    """Runs both Envoys at log level warn; `workers` are those of the one that is measured."""
    behind, measured = work / "behind", work / "measured"
    for directory in (behind, measured):
        directory.mkdir()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            process.run(_configuration([_listener("authz", [], SMALL)], []), behind, 1, "warn")
        )
        listeners = [_listener(v.name, _wasm(v, measured), v.body) for v in variants]
        clusters = [_cluster("authz", server.listeners["authz"][1])]
        envoy = stack.enter_context(process.run(_configuration(listeners, clusters), measured, workers, "warn"))
        yield Proxy(envoy, {name: port for name, (_, port) in envoy.listeners.items()})
