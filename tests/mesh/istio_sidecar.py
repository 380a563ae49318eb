"""A sidecar's configuration as Istio makes it for a client pod: the listeners and clusters that TCP filters meet, and no more."""

from __future__ import annotations

from typing import Any

from tests.mesh.network import API_SERVER, API_SERVER_SERVICE, DATABASE, DATABASE_SERVICE, ROUTERS

Part = dict[str, Any]

TYPES = "type.googleapis.com/envoy."
ACCESS_LOG = "ACCESS_LOG"
"""Where the path of the access log is to be."""
PASSTHROUGH, BLACK_HOLE = "PassthroughCluster", "BlackHoleCluster"
CATCH_ALL = "virtualOutbound-catchall-tcp"


def typed(name: str, kind: str, **fields: Any) -> Part:
    """Returns an extension: its name, and its configuration of a type below `envoy.`."""
    return {"name": name, "typed_config": {"@type": TYPES + kind, **fields}}


def address(host: str, port: int) -> Part:
    return {"socket_address": {"address": host, "port_value": port}}


def _access_log() -> Part:
    fields = {
        "source": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "destination": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "upstream": "%UPSTREAM_HOST%",
        "cluster": "%UPSTREAM_CLUSTER%",
        "flags": "%RESPONSE_FLAGS%",
        "chain": "%FILTER_CHAIN_NAME%",
        "rule": "%FILTER_STATE(wasm.tcp_routing.rule:PLAIN)%",
    }
    kind = "extensions.access_loggers.file.v3.FileAccessLog"
    return typed("envoy.access_loggers.file", kind, path=ACCESS_LOG, log_format={"json_format": fields})


def tcp_proxy(cluster: str) -> Part:
    kind = "extensions.filters.network.tcp_proxy.v3.TcpProxy"
    name = "envoy.filters.network.tcp_proxy"
    return typed(name, kind, stat_prefix=cluster, cluster=cluster, access_log=[_access_log()])


def http_connection_manager(cluster: str) -> Part:
    router = typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")
    hosts = [
        {"name": "allow_any", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}
    ]
    return typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="http",
        route_config={"virtual_hosts": hosts},
        http_filters=[router],
        access_log=[_access_log()],
    )


def listener_filter(name: str, kind: str, **fields: Any) -> Part:
    return typed(f"envoy.filters.listener.{name}", f"extensions.filters.listener.{name}.v3.{kind}", **fields)


def listener(host: str, port: int, chains: list[Part], name: str = "", **more: Any) -> Part:
    """Returns a listener of the direction outbound that binds no port: `virtualOutbound` hands connections on to it."""
    return {
        "name": name or f"{host}_{port}",
        "address": address(host, port),
        "traffic_direction": "OUTBOUND",
        "bind_to_port": False,
        "filter_chains": chains,
        **more,
    }


def tcp_service(host: str, port: int, cluster: str, filters: list[Part] | None = None) -> Part:
    """Returns the listener of a TCP service that has an address; `filters` come first."""
    return listener(host, port, [{"filters": [*(filters or []), tcp_proxy(cluster)]}])


def virtual_outbound(catch_all: str = PASSTHROUGH) -> Part:
    """Returns the listener that everything that leaves the pod comes to; `catch_all` is the cluster of unknown destinations."""
    return listener(
        "0.0.0.0",
        15001,
        [
            {
                "name": "virtualOutbound-blackhole",
                "filter_chain_match": {"destination_port": 15001},
                "filters": [tcp_proxy(BLACK_HOLE)],
            },
            {"name": CATCH_ALL, "filters": [tcp_proxy(catch_all)]},
        ],
        name="virtualOutbound",
        bind_to_port=True,
        use_original_dst=True,
        additional_addresses=[{"address": address("::", 15001)}],
    )


def virtual_inbound(port: int, tproxy: bool = False) -> Part:
    """Returns the listener that everything that enters the pod comes to; `port` is the application's."""
    return {
        "name": "virtualInbound",
        "address": address("0.0.0.0", 15006),
        "additional_addresses": [{"address": address("::", 15006)}],
        "traffic_direction": "INBOUND",
        "transparent": tproxy,
        # Istio's TPROXY has original_src too, which is about the application: it sees its client's address then.
        "listener_filters": [listener_filter("original_dst", "OriginalDst")],
        "filter_chains": [
            {
                "name": "virtualInbound-blackhole",
                "filter_chain_match": {"destination_port": 15006},
                "filters": [tcp_proxy(BLACK_HOLE)],
            },
            {
                "name": f"0.0.0.0_{port}",
                "filter_chain_match": {"destination_port": port},
                "filters": [tcp_proxy(f"inbound|{port}||")],
            },
        ],
    }


def listeners(catch_all: str = PASSTHROUGH) -> list[Part]:
    """Returns a client pod's listeners: `virtualOutbound`, HTTP on port 80, a database's service and the API server's."""
    hosts = [{"address": address("::", 80)}]
    return [
        virtual_outbound(catch_all),
        listener("0.0.0.0", 80, [{"filters": [http_connection_manager(PASSTHROUGH)]}], additional_addresses=hosts),
        tcp_service(DATABASE_SERVICE, 5432, service("postgres", 5432)),
        tcp_service(API_SERVER_SERVICE, 443, service("kubernetes", 443)),
    ]


def service(name: str, port: int) -> str:
    """Returns the name that Istio gives to the cluster of a service's port."""
    return f"outbound|{port}||{name}.default.svc.cluster.local"


def static(name: str, endpoints: list[tuple[str, int]]) -> Part:
    found = [{"endpoint": {"address": address(host, port)}} for host, port in endpoints]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": found}]}
    return {"name": name, "type": "STATIC", "connect_timeout": "2s", "load_assignment": assignment}


def original_destination(name: str, **more: Any) -> Part:
    return {"name": name, "type": "ORIGINAL_DST", "connect_timeout": "2s", "lb_policy": "CLUSTER_PROVIDED", **more}


def clusters() -> list[Part]:
    """Returns the clusters of all that runs in the mesh, and those for what does not."""
    return [
        original_destination(PASSTHROUGH),
        static(BLACK_HOLE, []),
        static(service("postgres", 5432), [(DATABASE, 5432)]),
        static(service("kubernetes", 443), [(API_SERVER, 443)]),
        *(static(service(name, port), [(host, port)]) for name, host in ROUTERS.items() for port in (8080, 8081)),
    ]


def inbound_cluster(port: int) -> Part:
    """Returns the cluster of the pod's own application."""
    of_ipv6 = {"address": {"address": "::6", "port_value": 0}}
    bind = {"source_address": {"address": "127.0.0.6", "port_value": 0}, "extra_source_addresses": [of_ipv6]}
    return original_destination(f"inbound|{port}||", upstream_bind_config=bind)
