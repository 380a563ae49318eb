"""Applies `DestinationRule` resources to clusters: the PROXY protocol, which is all that the project's manifests ask for."""

from __future__ import annotations

from typing import Any

from tests.mesh.istio_sidecar import Part, typed

Resource = dict[str, Any]


def apply(clusters: list[Part], manifests: list[Resource]) -> None:
    """Changes in place the clusters of all ports of each rule's host; raises ValueError for what is not known here."""
    for manifest in manifests:
        policy = manifest["spec"]["trafficPolicy"]
        if policy.keys() - {"tls", "proxyProtocol"} or policy.get("tls") != {"mode": "DISABLE"}:
            raise ValueError(f"what becomes of {policy} is not known here")
        for cluster in clusters:
            if cluster["name"].endswith(f"||{manifest['spec']['host']}"):
                cluster["transport_socket"] = _proxy_protocol(policy["proxyProtocol"]["version"])


def _proxy_protocol(version: str) -> Part:
    kind = "extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
    raw = typed("envoy.transport_sockets.raw_buffer", "extensions.transport_sockets.raw_buffer.v3.RawBuffer")
    name = "envoy.transport_sockets.upstream_proxy_protocol"
    return typed(name, kind, config={"version": version}, transport_socket=raw)
