"""Turns `WasmPlugin` and `ServiceEntry` resources into what Istio makes of them: listeners, clusters, and an extension for ECDS."""

from __future__ import annotations

import json
from typing import Any

from tests.mesh import istio_sidecar
from tests.mesh.istio_sidecar import PASSTHROUGH, TYPES, Part, listener, tcp_proxy
from tests.mesh.sidecars import MODULE_IN_POD

Resource = dict[str, Any]

_WASM = TYPES + "extensions.filters.network.wasm.v3.Wasm"
_RBAC = TYPES + "extensions.filters.network.rbac.v3.RBAC"
# What a manifest may say for this to mean what it means in a mesh.
_ALIKE = {"selector", "url", "sha256", "imagePullPolicy", "imagePullSecret", "phase", "priority"}
_KNOWN = _ALIKE | {"type", "failStrategy", "match", "pluginConfig", "pluginName"}


class Plugin:
    """A `WasmPlugin` of the type NETWORK."""

    def __init__(self, manifest: Resource) -> None:
        self._spec = manifest["spec"]
        if unknown := self._spec.keys() - _KNOWN:
            raise ValueError(f"what a WasmPlugin does with {sorted(unknown)} is not known here")
        if self._spec["type"] != "NETWORK":
            raise ValueError("it is no network filter, which is what type: NETWORK makes it")
        metadata = manifest["metadata"]
        self.name = f"extensions.istio.io/wasmplugin/{metadata['namespace']}.{metadata['name']}"
        self.ports = {port["number"] for match in self._spec["match"] for port in match["ports"]}

    def filters(self, port: int) -> list[Part]:
        """Returns what is inserted before `tcp_proxy` for a port: the filter's place, which ECDS fills."""
        if port not in self.ports:
            return []
        source = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
        return [{"name": self.name, "config_discovery": {"config_source": source, "type_urls": [_WASM, _RBAC]}}]

    def extension(self, rules: Any = None) -> Part:
        """Returns the filter as it is when the sidecar's agent has fetched the module; `rules` are others than the manifest's."""
        policy = {"FAIL_CLOSE": "FAIL_CLOSED", "FAIL_OPEN": "FAIL_OPEN", "FAIL_RELOAD": "FAIL_RELOAD"}
        config = {
            "name": self.name,
            "root_id": self._spec.get("pluginName", ""),
            "failure_policy": policy[self._spec.get("failStrategy", "FAIL_CLOSE")],
            "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": MODULE_IN_POD}}},
        }
        written = self._spec.get("pluginConfig") if rules is None else rules
        if written:
            # A Struct, which Istio hands on as JSON in a text.
            text = json.dumps(written, separators=(",", ":"))
            config["configuration"] = {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text}
        return {"name": self.name, "typed_config": {"@type": _WASM, "config": config}}

    def failed(self) -> Part:
        """Returns what the agent puts there instead if the module cannot be fetched: a filter that denies all, or none."""
        denies = self._spec.get("failStrategy", "FAIL_CLOSE") == "FAIL_CLOSE"
        rules: Part = {"rules": {}} if denies else {}
        return {"name": self.name, "typed_config": {"@type": _RBAC, "stat_prefix": "wasm", **rules}}


def listeners(entries: list[Resource], plugin: Plugin) -> list[Part]:
    """Returns a listener for each port of some `ServiceEntry`s, with the plugin's place where Istio puts it."""
    return [
        _listener(host, port, entry, plugin)
        for entry in entries
        for host in entry["spec"].get("addresses", ["0.0.0.0"])
        for port in entry["spec"]["ports"]
    ]


def _cluster(entry: Resource, port: Resource) -> str:
    return f"outbound|{port['number']}||{entry['spec']['hosts'][0]}"


def _listener(host: str, port: Resource, entry: Resource, plugin: Plugin) -> Part:
    number, cluster = port["number"], _cluster(entry, port)
    if port["protocol"] == "TCP":
        return istio_sidecar.tcp_service(host, number, cluster, plugin.filters(number))
    if port["protocol"] != "TLS":
        raise ValueError(f"what becomes of protocol {port['protocol']} is not known here")
    named = {
        "filter_chain_match": {"server_names": entry["spec"]["hosts"]},
        "filters": [*plugin.filters(number), tcp_proxy(cluster)],
    }
    # What asks for another name, or is no TLS, has no extensions.
    rest = {"name": "PassthroughFilterChain", "filters": [tcp_proxy(PASSTHROUGH)]}
    inspector = istio_sidecar.listener_filter("tls_inspector", "TlsInspector")
    return listener(
        host, number, [named], default_filter_chain=rest, listener_filters=[inspector], listener_filters_timeout="0s"
    )


def clusters(entries: list[Resource]) -> list[Part]:
    """Returns the clusters of `ServiceEntry`s that are resolved by the client (`resolution: NONE`)."""
    names = [_cluster(entry, port) for entry in entries for port in entry["spec"]["ports"]]
    assert all(entry["spec"]["resolution"] == "NONE" for entry in entries)
    return [istio_sidecar.original_destination(name) for name in names]
