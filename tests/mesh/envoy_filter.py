"""Applies `EnvoyFilter` resources to a sidecar's listeners, as Istio's control plane does.

Only what the project's manifests use is here. Anything else is refused, so that no manifest means less here than in a mesh. The order and
the matching are those of Istio's `listener_patch.go`:

 - a listener that is removed is patched no further,
 - the port of `virtualOutbound` and `virtualInbound` is not compared, but the destination port of their filter chains,
 - listeners are added last, so that no other patch reaches them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Resource = dict[str, Any]

_VIRTUAL = ("virtualOutbound", "virtualInbound")
_OPERATIONS = {
    "LISTENER": {"ADD", "REMOVE", "MERGE"},
    "LISTENER_FILTER": {"ADD", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER", "REMOVE"},
    "NETWORK_FILTER": {"ADD", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER", "REMOVE"},
}
_FIELDS = {
    "patch": {"applyTo", "match", "patch"},
    "match": {"context", "listener"},
    "listener": {"name", "portNumber", "filterChain", "listenerFilter"},
    "filterChain": {"name", "sni", "destinationPort", "filter"},
    "filter": {"name"},
    "operation": {"operation", "value"},
}


class UnsupportedPatchError(Exception):
    """A manifest uses what this imitation of Istio does not know."""


class _Patch:
    """One entry of `configPatches`."""

    def __init__(self, written: Resource) -> None:
        self.apply_to: str = _checked("patch", written)["applyTo"]
        match = _checked("match", written.get("match", {}))
        self.context: str = match.get("context", "ANY")
        self.listener = _checked("listener", match.get("listener", {}))
        self.chain = _checked("filterChain", self.listener.get("filterChain", {}))
        self.filter: str = _checked("filter", self.chain.get("filter", {})).get("name", "")
        operation = _checked("operation", written["patch"])
        self.operation: str = operation["operation"]
        self.value: Resource = operation.get("value", {})
        if self.operation not in _OPERATIONS.get(self.apply_to, ()):
            raise UnsupportedPatchError(f"{self.operation} of a {self.apply_to}")
        self.applied = 0

    def matches_listener(self, listener: Resource) -> bool:
        if self.context not in ("ANY", f"SIDECAR_{listener['traffic_direction']}"):
            return False
        if self.listener.get("name") not in (None, listener["name"]):
            return False
        if self.apply_to != "LISTENER" and listener["name"] in _VIRTUAL:
            return True
        return self.listener.get("portNumber") in (None, listener["address"]["socket_address"]["port_value"])

    def matches_chain(self, listener: Resource, chain: Resource) -> bool:
        match = chain.get("filter_chain_match", {})
        port = self.listener.get("portNumber") if listener["name"] in _VIRTUAL else None
        return (
            port in (None, match.get("destination_port"))
            and self.chain.get("name") in (None, chain.get("name"))
            and self.chain.get("destinationPort") in (None, match.get("destination_port"))
            and ("sni" not in self.chain or self.chain["sni"] in match.get("server_names", []))
        )

    def change(self, filters: list[Resource], beside: str) -> None:
        """Changes a list of filters; `beside` is the name of the one that the patch is about, if it names one."""
        places = [place for place, found in enumerate(filters) if found["name"] == beside]
        if beside and not places and self.operation in ("INSERT_BEFORE", "INSERT_AFTER"):
            return
        new = copy.deepcopy(self.value)
        if self.operation == "REMOVE":
            filters[:] = [found for found in filters if found["name"] != beside]
        elif self.operation in ("INSERT_FIRST", "INSERT_BEFORE"):
            filters.insert(places[0] if places and self.operation == "INSERT_BEFORE" else 0, new)
        else:
            filters.insert(places[0] + 1 if places and self.operation == "INSERT_AFTER" else len(filters), new)
        self.applied += 1


def _checked(kind: str, written: Resource) -> Resource:
    if unknown := written.keys() - _FIELDS[kind]:
        raise UnsupportedPatchError(f"{', '.join(sorted(unknown))} in a {kind}")
    return written


def apply(listeners: list[Resource], manifests: list[Resource]) -> list[int]:
    """Patches listeners in place; returns how often each patch of the manifests was applied, in their order.

    Raises UnsupportedPatchError for what Istio knows and this imitation does not.
    """
    patches = [_Patch(written) for manifest in manifests for written in manifest["spec"]["configPatches"]]
    listeners[:] = [listener for listener in listeners if _patched(listener, patches)]
    for patch in patches:
        if (patch.apply_to, patch.operation) == ("LISTENER", "ADD"):
            # Only outbound listeners are patched by what names no context; the project's sidecars have both.
            listeners.append({"traffic_direction": "OUTBOUND", **copy.deepcopy(patch.value)})
            patch.applied += 1
    return [patch.applied for patch in patches]


def _patched(listener: Resource, patches: list[_Patch]) -> bool:
    """Patches a listener; tells whether it is still there."""
    matching = [patch for patch in patches if patch.matches_listener(listener)]
    for patch in matching:
        if patch.apply_to == "LISTENER" and patch.operation != "ADD":
            patch.applied += 1
            if patch.operation == "REMOVE":
                return False
            _merge(listener, patch.value)
    for patch in matching:
        if patch.apply_to == "LISTENER_FILTER":
            patch.change(listener.setdefault("listener_filters", []), patch.listener.get("listenerFilter", ""))
    for chain in _chains(listener):
        for patch in matching:
            if patch.apply_to == "NETWORK_FILTER" and patch.matches_chain(listener, chain):
                patch.change(chain["filters"], patch.filter)
    return True


def _chains(listener: Resource) -> Iterator[Resource]:
    yield from listener.get("filter_chains", [])
    if "default_filter_chain" in listener:
        yield listener["default_filter_chain"]


def _merge(into: Resource, new: Resource) -> None:
    """Merges as protobuf does: messages are merged, lists are joined, and everything else is replaced."""
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, list):
            into[key] = into.get(key, []) + copy.deepcopy(value)
        else:
            into[key] = copy.deepcopy(value)
