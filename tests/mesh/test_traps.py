"""What goes wrong without a part of the manifests: each of these is a manifest that looks right, or that others use."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from envoy.waiting import wait_for
from tests.mesh import envoy_filter, istio_sidecar
from tests.mesh.backends import HTTP, client_hello, connect
from tests.mesh.conftest import Client
from tests.mesh.manifests import Resource
from tests.mesh.network import DATABASE_SERVICE, INTERNET
from tests.mesh.patched import filters, plugin

WASM = "envoy.filters.network.wasm"


def used(client: Client, resources: list[Resource]) -> list[int]:
    """Has a client pod use listeners with these `EnvoyFilter`s; returns how often each patch was applied."""
    listeners = istio_sidecar.listeners()
    applied = envoy_filter.apply(listeners, resources)
    client.sidecar.use(listeners)
    return applied


def without(resources: list[Resource], leave_out: Callable[[Resource], bool]) -> list[Resource]:
    """Returns the resources without some of their patches."""
    changed = copy.deepcopy(resources)
    for resource in changed:
        patches = resource["spec"]["configPatches"]
        resource["spec"]["configPatches"] = [patch for patch in patches if not leave_out(patch)]
    return changed


def inserts(name: str) -> Callable[[Resource], bool]:
    """Tells of a patch whether it inserts the filter of this name."""
    return lambda patch: patch["patch"].get("value", {}).get("name") == name


def test_a_filter_in_every_chain_takes_services_and_the_sidecars_own_port(even: Client) -> None:
    everywhere = filters()
    for patch in everywhere[0]["spec"]["configPatches"]:
        del patch["match"]["listener"]["name"], patch["match"]["listener"]["filterChain"]["name"]
    assert used(even, everywhere) == [4]
    assert even.reaches(DATABASE_SERVICE, 5432) == (even.router, 8080)
    # From 127.0.0.1, which is odd in every pod.
    assert even.reaches("127.0.0.1", 15001) == ("egress-router2", 8080)


def test_a_server_name_matches_nothing_without_the_inspector(even: Client) -> None:
    used(even, without(filters(["sni"]), inserts("envoy.filters.listener.tls_inspector")))
    assert even.reaches(INTERNET, 443, client_hello("direct.example.com")) == (even.router, 8080)


def test_a_silent_client_is_closed_without_the_original_destination_first(even: Client) -> None:
    used(even, without(filters(["sni"]), inserts("envoy.filters.listener.original_dst")))
    assert even.reaches(INTERNET, 443, client_hello("direct.example.com")) == ("internet", 443)
    assert even.reaches(INTERNET, 443) is None
    # Either may be logged first.
    assert "virtualOutbound-blackhole" in [line["chain"] for line in even.sidecar.logged(2)]


def test_a_silent_client_waits_without_the_timeout(even: Client) -> None:
    used(even, without(filters(["sni"]), lambda patch: patch["patch"]["operation"] == "MERGE"))
    with connect(even.sidecar.pod, INTERNET, 443, timeout=1) as silent, pytest.raises(TimeoutError):
        silent.recv(1)


def test_a_change_ends_what_goes_through_the_filter_after_the_drain_time_and_nothing_else(even: Client) -> None:
    """With WasmPlugin it would end nothing: only the extension is pushed, not the listener."""
    used(even, filters())
    with even.hold(INTERNET, 443) as routed, even.hold(DATABASE_SERVICE, 5432) as other:
        changed = filters()
        rules = {"default_action": {"cluster": istio_sidecar.service("egress-router2", 8080)}}
        changed[0]["spec"]["configPatches"][0]["patch"]["value"] = plugin(rules)
        used(even, changed)
        assert even.reaches(INTERNET, 443) == ("egress-router2", 8080)
        assert wait_for(lambda: not routed.is_quiet(), seconds=10)
        assert not routed.echoes() and other.echoes()


def test_a_filter_before_http_logs_a_route_and_changes_none(even: Client) -> None:
    where = {"portNumber": 80, "filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}}
    patch = {
        "applyTo": "NETWORK_FILTER",
        "match": {"context": "SIDECAR_OUTBOUND", "listener": where},
        "patch": {"operation": "INSERT_BEFORE", "value": filters()[0]["spec"]["configPatches"][0]["patch"]["value"]},
    }
    assert used(even, [{"spec": {"configPatches": [patch]}}]) == [1]
    before = len(even.sidecar.envoy.log_lines("Routed source"))
    assert even.reaches(INTERNET, 80, HTTP) == ("internet", 80)
    assert len(even.sidecar.envoy.log_lines("Routed source")) == before + 1


@pytest.mark.parametrize(("port", "binds"), [(8443, False), (8444, True)])
def test_a_listener_that_is_added_holds_its_port_in_the_pod(even: Client, port: int, binds: bool) -> None:
    chain = {"filters": [istio_sidecar.tcp_proxy(istio_sidecar.PASSTHROUGH)]}
    added = istio_sidecar.listener("0.0.0.0", port, [chain], bind_to_port=binds)
    patch = {
        "applyTo": "LISTENER",
        "match": {"context": "SIDECAR_OUTBOUND"},
        "patch": {"operation": "ADD", "value": added},
    }
    assert used(even, [{"spec": {"configPatches": [patch]}}]) == [1]
    assert even.can_listen(port) != binds


@pytest.mark.parametrize("cluster", ["egress-router1", "outbound|8080||egress-router3.default.svc.cluster.local"])
def test_a_cluster_that_the_mesh_does_not_have_closes_every_connection(even: Client, cluster: str) -> None:
    resources = filters()
    resources[0]["spec"]["configPatches"][0]["patch"]["value"] = plugin({"default_action": {"cluster": cluster}})
    used(even, resources)
    assert even.reaches(INTERNET, 443) is None
    assert even.sidecar.logged(1)[0]["flags"] == "NC"
