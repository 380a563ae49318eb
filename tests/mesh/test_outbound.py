"""The project's `EnvoyFilter` in the sidecars of an even and an odd pod: what goes to a router, to which, and what is left alone."""

from __future__ import annotations

import pytest

from tests.mesh import istio_sidecar
from tests.mesh.backends import HTTP, client_hello
from tests.mesh.conftest import Client
from tests.mesh.network import (
    API_SERVER_SERVICE,
    DATABASE,
    DATABASE_SERVICE,
    HOSTS,
    INTERNET,
    INTERNET6,
    METADATA_SERVER,
)
from tests.mesh.patched import listeners

BOTH = pytest.mark.parametrize("host", [INTERNET, INTERNET6])


@BOTH
@pytest.mark.parametrize("port", [443, 9000])
def test_an_unknown_destination_is_reached_through_the_pods_router(client: Client, host: str, port: int) -> None:
    client.sidecar.use(listeners())
    before = len(client.sidecar.logged(0))
    assert client.reaches(host, port) == (client.router, 8080)
    logged = client.sidecar.logged(before + 1)[-1]
    source = HOSTS[client.sidecar.pod.name][":" in host]
    assert (logged["source"].rpartition(":")[0].strip("[]"), logged["chain"]) == (source, istio_sidecar.CATCH_ALL)


@BOTH
def test_http_on_port_80_is_left_to_its_own_listener(client: Client, host: str) -> None:
    client.sidecar.use(listeners())
    assert client.reaches(host, 80, HTTP) == ("internet", 80)


def test_services_of_the_mesh_are_left_alone(client: Client) -> None:
    client.sidecar.use(listeners())
    assert client.reaches(DATABASE_SERVICE, 5432) == ("postgres", 5432)
    assert client.reaches(API_SERVER_SERVICE, 443) == ("kubernetes", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_sidecars_own_port_stays_closed(client: Client, host: str) -> None:
    client.sidecar.use(listeners())
    assert client.reaches(host, 15001) is None


def test_a_mesh_that_knows_all_its_destinations_is_left_by_routers_alone(client: Client) -> None:
    """Istio's REGISTRY_ONLY: what is not known ends in a cluster without endpoints."""
    closed = istio_sidecar.listeners(istio_sidecar.BLACK_HOLE)
    client.sidecar.use(closed)
    assert client.reaches(INTERNET, 443) is None
    client.sidecar.use(listeners(catch_all=istio_sidecar.BLACK_HOLE))
    assert client.reaches(INTERNET, 443) == (client.router, 8080)


# ---- components


@BOTH
def test_port_80_without_its_listener_goes_to_the_routers_other_port(client: Client, host: str) -> None:
    client.sidecar.use(listeners(["port-80"]))
    assert client.reaches(host, 80, HTTP) == (client.router, 8081)
    assert client.reaches(host, 443) == (client.router, 8080)
    assert client.reaches(DATABASE_SERVICE, 5432) == ("postgres", 5432)


def test_destinations_inside_of_the_cluster_are_spared(client: Client) -> None:
    client.sidecar.use(listeners())
    assert client.reaches(DATABASE, 5432) == (client.router, 8080)  # by a pod's address, which no service has
    client.sidecar.use(listeners(["spare"]))
    assert client.reaches(DATABASE, 5432) == ("postgres", 5432)
    assert client.reaches(INTERNET, 443) == (client.router, 8080)
    assert client.reaches(METADATA_SERVER, 443) is None


def test_the_overlay_guards_the_metadata_server_on_port_80(client: Client) -> None:
    # It takes both components: the listener of port 80 would let this pass.
    client.sidecar.use(listeners(folder="overlay"))
    assert client.reaches(METADATA_SERVER, 80, HTTP) is None
    assert client.sidecar.logged(1)[0]["rule"] == "metadata-server"
    assert client.reaches(INTERNET, 80, HTTP) == (client.router, 8081)


def test_a_server_name_decides(client: Client) -> None:
    client.sidecar.use(listeners(["sni"]))
    assert client.reaches(INTERNET, 443, client_hello("direct.example.com")) == ("internet", 443)
    assert client.reaches(INTERNET, 443, client_hello("other.example.com")) == (client.router, 8080)
    # Either may be logged first.
    assert "direct" in [line["rule"] for line in client.sidecar.logged(2)]


@BOTH
def test_a_client_that_says_nothing_is_routed_by_the_other_rules(client: Client, host: str) -> None:
    client.sidecar.use(listeners(["sni"]))
    assert client.reaches(host, 443) == (client.router, 8080)
    assert client.reaches(DATABASE_SERVICE, 5432) == ("postgres", 5432)
