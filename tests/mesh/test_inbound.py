"""The filter in front of an application, in the sidecar's inbound listener: which client it sees, and whom it rejects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mesh import envoy_filter, istio_iptables, istio_sidecar
from tests.mesh.conftest import Client, Mesh
from tests.mesh.network import HOSTS, POD_ODD, POD_ODD6, SERVER, SERVER6
from tests.mesh.patched import plugin
from tests.mesh.sidecars import Sidecar

PORT = 9000
RULES = {"rules": [{"name": "odd", "match": {"source_cidrs": [POD_ODD, POD_ODD6]}, "action": {"reject": True}}]}


@pytest.fixture(scope="module")
def server(mesh: Mesh) -> Iterator[Sidecar]:
    pod = mesh.hosts["server"]
    sidecar = mesh.sidecars.made(pod)
    sidecar.push("Cluster", [])
    sidecar.push("Listener", [])
    with mesh.sidecars.run(sidecar, net_admin=True):
        yield sidecar


@pytest.fixture(scope="module", params=["REDIRECT", "TPROXY"])
def guarded(request: pytest.FixtureRequest, server: Sidecar) -> Iterator[None]:
    """What enters the server's pod is led to its sidecar, in each of Istio's modes."""
    on = request.param == "TPROXY"
    istio_iptables.redirect(server.pod, on)
    listeners = [istio_sidecar.virtual_inbound(PORT, on)]
    where = {"portNumber": PORT, "filterChain": {"filter": {"name": "envoy.filters.network.tcp_proxy"}}}
    patch = {
        "applyTo": "NETWORK_FILTER",
        "match": {"context": "SIDECAR_INBOUND", "listener": where},
        "patch": {"operation": "INSERT_BEFORE", "value": plugin(RULES)},
    }
    assert envoy_filter.apply(listeners, [{"spec": {"configPatches": [patch]}}]) == [1]
    server.use(listeners, [istio_sidecar.inbound_cluster(PORT)])
    yield
    istio_iptables.clear(server.pod)


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("host", [SERVER, SERVER6])
def test_the_filter_sees_the_calling_pod_and_rejects_by_its_address(server: Sidecar, client: Client, host: str) -> None:
    client.sidecar.use(istio_sidecar.listeners())
    before = len(server.logged(0))
    rejected = client.sidecar.pod.name == "pod-odd"
    assert client.reaches(host, PORT) == (None if rejected else ("application", PORT))
    logged = server.logged(before + 1)[-1]
    assert logged["source"].rpartition(":")[0].strip("[]") == HOSTS[client.sidecar.pod.name][":" in host]
    assert logged["destination"].rpartition(":")[2] == str(PORT)
    assert logged["rule"] == ("odd" if rejected else None)
