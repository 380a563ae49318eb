"""The imitation of Istio's patching: its order, what it matches, and that it refuses what it does not know."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mesh.envoy_filter import UnsupportedPatchError, apply


def listener(name: str = "0.0.0.0_80", port: int = 80, direction: str = "OUTBOUND") -> dict[str, Any]:
    return {
        "name": name,
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},
        "traffic_direction": direction,
        "filter_chains": [
            {"name": "first", "filter_chain_match": {"destination_port": 1}, "filters": [{"name": "a"}, {"name": "b"}]},
            {"name": "second", "filters": [{"name": "b"}]},
        ],
    }


def patch(apply_to: str, operation: str, value: Any = None, **match: Any) -> dict[str, Any]:
    return {
        "applyTo": apply_to,
        "match": {"context": "SIDECAR_OUTBOUND", **({"listener": match} if match else {})},
        "patch": {"operation": operation, "value": value or {}},
    }


def patched(listeners: list[dict[str, Any]], *patches: dict[str, Any]) -> list[int]:
    return apply(listeners, [{"spec": {"configPatches": list(patches)}}])


def chains(listeners: list[dict[str, Any]]) -> list[list[str]]:
    return [[found["name"] for found in chain["filters"]] for chain in listeners[0]["filter_chains"]]


@pytest.mark.parametrize(
    ("operation", "beside", "expected"),
    [
        ("INSERT_BEFORE", "b", [["a", "new", "b"], ["new", "b"]]),
        ("INSERT_AFTER", "a", [["a", "new", "b"], ["b"]]),
        ("INSERT_AFTER", None, [["a", "b", "new"], ["b", "new"]]),
        ("INSERT_FIRST", None, [["new", "a", "b"], ["new", "b"]]),
        ("ADD", None, [["a", "b", "new"], ["b", "new"]]),
        ("REMOVE", "b", [["a"], []]),
    ],
)
def test_filters_are_changed(operation: str, beside: str | None, expected: list[list[str]]) -> None:
    listeners = [listener()]
    chain = {"filterChain": {"filter": {"name": beside}}} if beside else {"name": "0.0.0.0_80"}
    patched(listeners, patch("NETWORK_FILTER", operation, {"name": "new"}, **chain))
    assert chains(listeners) == expected


def test_a_port_is_the_listeners_and_of_a_virtual_one_the_chains() -> None:
    of_port_1 = patch("NETWORK_FILTER", "INSERT_FIRST", {"name": "new"}, portNumber=1)
    listeners = [listener()]
    assert patched(listeners, of_port_1) == [0]
    listeners = [listener("virtualOutbound", 15001)]
    assert patched(listeners, of_port_1) == [1]
    assert chains(listeners) == [["new", "a", "b"], ["b"]]


def test_the_direction_counts() -> None:
    assert patched([listener(direction="INBOUND")], patch("LISTENER", "REMOVE")) == [0]


def test_what_is_removed_is_patched_no_further_and_what_is_added_not_at_all() -> None:
    listeners = [listener()]
    insert = patch("NETWORK_FILTER", "INSERT_FIRST", {"name": "new"})
    assert patched(
        listeners, insert, patch("LISTENER", "REMOVE", portNumber=80), patch("LISTENER", "ADD", listener())
    ) == [
        0,
        1,
        1,
    ]
    assert chains(listeners) == [["a", "b"], ["b"]]


def test_listener_filters_come_first_and_fields_are_merged() -> None:
    listeners = [listener()]
    first, second = (patch("LISTENER_FILTER", "INSERT_FIRST", {"name": name}) for name in ("x", "y"))
    patched(listeners, patch("LISTENER", "MERGE", {"listener_filters_timeout": "0.5s"}), first, second)
    assert listeners[0]["listener_filters"] == [{"name": "y"}, {"name": "x"}]
    assert listeners[0]["listener_filters_timeout"] == "0.5s"


@pytest.mark.parametrize(
    ("unknown", "message"),
    [
        (patch("CLUSTER", "ADD"), "ADD of a CLUSTER"),
        (patch("NETWORK_FILTER", "REPLACE"), "REPLACE of a NETWORK_FILTER"),
        (patch("LISTENER", "REMOVE", portName="http"), "portName in a listener"),
        (patch("LISTENER", "REMOVE", filterChain={"transportProtocol": "tls"}), "transportProtocol in a filterChain"),
    ],
)
def test_what_is_not_imitated_is_refused(unknown: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedPatchError, match=message):
        patched([listener()], unknown)
