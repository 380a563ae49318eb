"""One network for all tests here, in namespaces of its own; skipped if the machine does not let it be made, and the log says why."""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from envoy.client import Held
from tests.mesh import backends, control_plane, istio_iptables, istio_sidecar, namespaces, network
from tests.mesh.namespaces import Namespace
from tests.mesh.sidecars import Sidecar, Sidecars

MODULE = Path(os.environ.get("FILTER_WASM", "filter/filter.wasm")).absolute()
ROUTER_OF = {"pod-even": "egress-router1", "pod-odd": "egress-router2"}


@dataclass
class Mesh:
    """The pods, by the name of their namespace, and what starts sidecars in them."""

    hosts: dict[str, Namespace]
    sidecars: Sidecars


@dataclass
class Client:
    """A client pod with its sidecar, and the router that its address chooses."""

    sidecar: Sidecar
    router: str

    def reaches(self, host: str, port: int, send: bytes = b"") -> tuple[str, int] | None:
        """Returns who answers, and on which port; None if the connection is closed without an answer."""
        answer = self.sidecar.ask(host, port, send)
        return (answer.server, answer.port) if answer else None

    def hold(self, host: str, port: int) -> Held:
        """Returns a connection that stays open."""
        with self.sidecar.pod.entered():
            return Held((host, port), network.HOSTS[self.sidecar.pod.name][0])

    def can_listen(self, port: int) -> bool:
        """Tells whether an application in the pod can listen on a port."""
        with self.sidecar.pod.entered(), contextlib.suppress(OSError), socket.create_server(("0.0.0.0", port)):
            return True
        return False


def _serve(servers: backends.Backends, hosts: dict[str, Namespace]) -> None:
    for host in network.HOSTS["internet"]:
        servers.listen(hosts["internet"], host, [443, 9000], "internet")
        servers.listen(hosts["internet"], host, [80], "internet", backends.Web)
    services = hosts["services"]
    for name, host in network.ROUTERS.items():
        servers.listen(services, host, [8080, 8081], name)
    servers.listen(services, network.DATABASE, [5432], "postgres")
    servers.listen(services, network.API_SERVER, [443], "kubernetes")
    for host in (network.SERVER, network.SERVER6):
        servers.listen(hosts["server"], host, [9000], "application")


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    """Client pods whose connections are led to a sidecar, routers, services and the internet; no sidecar runs yet."""
    try:
        namespaces.isolate()
    except namespaces.NetworkError as error:
        pytest.skip(str(error))
    with contextlib.ExitStack() as stack:
        # A Unix socket's path must be short, and Envoy's user must come to it.
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-", dir="/tmp")))
        work.chmod(0o755)
        hosts = stack.enter_context(network.up())
        _serve(stack.enter_context(backends.run()), hosts)
        sidecars = Sidecars(work, MODULE, stack.enter_context(control_plane.run(work)))
        stack.callback(sidecars.unmount)
        yield Mesh(hosts, sidecars)


@pytest.fixture(scope="session")
def clients(mesh: Mesh) -> Iterator[dict[str, Sidecar]]:
    """The client pods' sidecars, without listeners."""
    with contextlib.ExitStack() as stack:
        running = {}
        for name in ROUTER_OF:
            istio_iptables.redirect(mesh.hosts[name])
            running[name] = mesh.sidecars.made(mesh.hosts[name])
            running[name].push("Cluster", istio_sidecar.clusters())
            running[name].push("Listener", [])
            stack.enter_context(mesh.sidecars.run(running[name]))
        yield running


@pytest.fixture(scope="module", params=ROUTER_OF)
def client(request: pytest.FixtureRequest, clients: dict[str, Sidecar]) -> Client:
    return Client(clients[request.param], ROUTER_OF[request.param])


@pytest.fixture(scope="session")
def even(clients: dict[str, Sidecar]) -> Client:
    """One client pod, for what is the same in both."""
    return Client(clients["pod-even"], ROUTER_OF["pod-even"])
