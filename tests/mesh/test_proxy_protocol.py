"""The component `proxy-protocol`: where the client wanted to go reaches the router."""

from __future__ import annotations

import pytest

from tests.mesh import destination_rule, istio_sidecar, manifests
from tests.mesh.conftest import Client
from tests.mesh.network import HOSTS, INTERNET, INTERNET6, ROUTERS
from tests.mesh.patched import listeners

WANTS_A_HEADER = 8090
"""The port of the routers' pods on which a server waits for a header."""


@pytest.mark.parametrize("host", [INTERNET, INTERNET6])
@pytest.mark.parametrize("port", [443, 9000])
def test_the_router_learns_the_original_destination(client: Client, host: str, port: int) -> None:
    clusters = istio_sidecar.clusters()
    for cluster in clusters:
        for name, address in ROUTERS.items():
            if cluster["name"] == istio_sidecar.service(name, 8080):
                cluster |= istio_sidecar.static(cluster["name"], [(address, WANTS_A_HEADER)])
    rules = manifests.of_kind(manifests.read("envoyfilter", ["proxy-protocol"]), "DestinationRule")
    assert len(rules) == len(ROUTERS)
    destination_rule.apply(clusters, rules)
    client.sidecar.use(listeners(), clusters)
    answer = client.sidecar.ask(host, port)
    source = HOSTS[client.sidecar.pod.name][":" in host]
    assert answer is not None
    assert (answer.server, answer.header) == (client.router, f"from {source} to {host} {port}")
