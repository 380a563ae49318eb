"""The component `proxy-protocol`: the project's routers learn where the client wanted to go, and forward it there."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from envoy.process import die_with_parent
from tests.mesh import destination_rule, istio_sidecar, manifests
from tests.mesh.conftest import Client, Mesh
from tests.mesh.network import FORWARDERS, HOSTS, INTERNET, INTERNET6, METADATA_SERVER
from tests.mesh.patched import listeners

RESOURCES = manifests.read("envoyfilter", ["proxy-protocol"])


def arguments(name: str) -> list[str]:
    """Returns what the manifests start a router with."""
    deployments = manifests.of_kind(RESOURCES, "Deployment")
    found = next(resource for resource in deployments if resource["metadata"]["name"] == name)
    started: list[str] = found["spec"]["template"]["spec"]["containers"][0]["args"]
    return started


@pytest.fixture(scope="module")
def routers(mesh: Mesh) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for name, host in FORWARDERS.items():
            command = [sys.executable, "-S", "-m", "egress_router", *arguments(name), "--host", host]
            with mesh.hosts[name].entered():
                process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
            stack.enter_context(process)
            stack.callback(process.terminate)
            assert process.stdout is not None
            assert [process.stdout.readline().split()[-1] for _ in range(2)] == ["8080", "8081"]
        yield


@pytest.fixture
def forwarded(routers: None, client: Client) -> Client:
    """A client pod whose routers forward."""
    clusters = istio_sidecar.clusters()
    for cluster in clusters:
        for name, host in FORWARDERS.items():
            for port in (8080, 8081):
                if cluster["name"] == istio_sidecar.service(name, port):
                    cluster |= istio_sidecar.static(cluster["name"], [(host, port)])
    rules = manifests.of_kind(RESOURCES, "DestinationRule")
    assert len(rules) == len(FORWARDERS)
    destination_rule.apply(clusters, rules)
    client.sidecar.use(listeners(), clusters)
    return client


@pytest.mark.parametrize("host", [INTERNET, INTERNET6])
@pytest.mark.parametrize("port", [443, 9000])
def test_the_original_destination_is_reached_by_way_of_the_router(forwarded: Client, host: str, port: int) -> None:
    answer = forwarded.sidecar.ask(host, port)
    assert answer is not None
    assert (answer.server, answer.port) == ("internet", port)
    assert answer.peer == HOSTS[forwarded.router][":" in host]


def test_the_metadata_server_is_reached_by_nobody(forwarded: Client) -> None:
    assert forwarded.reaches(METADATA_SERVER, 443) is None
