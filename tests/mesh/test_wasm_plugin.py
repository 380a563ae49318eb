"""The project's `WasmPlugin` and `ServiceEntry`s, over ADS and ECDS: routing, warm-up, changes, refusals, and a failed fetch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from envoy.client import Held
from tests.mesh import istio_iptables, istio_sidecar, manifests, wasm_plugin
from tests.mesh.backends import HTTP, client_hello, connect
from tests.mesh.conftest import Client, Mesh
from tests.mesh.network import API_SERVER_SERVICE, INTERNET, OTHER_HOST
from tests.mesh.sidecars import Sidecar

EXTENSION = "TypedExtensionConfig"
HELD = 20
PLUGIN = wasm_plugin.Plugin(manifests.of_kind(manifests.read("wasmplugin"), "WasmPlugin")[0])
ENTRIES = manifests.of_kind(manifests.read("wasmplugin"), "ServiceEntry")
CLUSTERS = [*istio_sidecar.clusters(), *wasm_plugin.clusters(ENTRIES)]
LISTENERS = [*istio_sidecar.listeners(), *wasm_plugin.listeners(ENTRIES, PLUGIN)]
EVERYTHING_TO_2 = {"default_action": {"cluster": istio_sidecar.service("egress-router2", 8080)}}


@pytest.fixture
def plugged(client: Client) -> Client:
    """A client pod with the plugin as the manifest has it."""
    client.sidecar.push(EXTENSION, [PLUGIN.extension()])
    client.sidecar.use(LISTENERS, CLUSTERS)
    # The listeners may be there from the test before, with another extension.
    configured(client.sidecar, PLUGIN.extension())
    return client


def configured(sidecar: Sidecar, extension: istio_sidecar.Part) -> None:
    """Has an extension pushed, and waits until it is taken."""
    assert sidecar.refusal(sidecar.push(EXTENSION, [extension])) == ""


@contextlib.contextmanager
def held(client: Client) -> Iterator[list[Held]]:
    """Connections that stay open, through the client's router."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(client.hold(INTERNET, 443)) for _ in range(HELD)]


def test_a_known_destination_is_reached_through_the_pods_router(plugged: Client) -> None:
    assert plugged.reaches(INTERNET, 443) == (plugged.router, 8080)
    assert plugged.reaches(INTERNET, 80, HTTP) == (plugged.router, 8081)


def test_what_the_plugin_is_not_for_is_left_alone(plugged: Client) -> None:
    assert plugged.reaches(INTERNET, 9000) == ("internet", 9000)
    assert plugged.reaches(API_SERVER_SERVICE, 443) == ("kubernetes", 443)


def test_a_destination_known_by_its_name_is_reached_by_that_name_alone(plugged: Client) -> None:
    assert plugged.reaches(OTHER_HOST, 443, client_hello("httpbin.org")) == (plugged.router, 8080)
    assert plugged.reaches(OTHER_HOST, 443, client_hello("example.org")) == ("internet", 443)


def test_a_silent_client_of_a_destination_known_by_its_name_waits(plugged: Client) -> None:
    """Istio looks for the name as long as it takes: such a ServiceEntry is for TLS alone."""
    with connect(plugged.sidecar.pod, OTHER_HOST, 443, timeout=1) as silent, pytest.raises(TimeoutError):
        silent.recv(1)


def test_new_rules_are_taken_without_losing_a_connection(plugged: Client) -> None:
    with held(plugged) as connections:
        configured(plugged.sidecar, PLUGIN.extension(EVERYTHING_TO_2))
        assert plugged.reaches(INTERNET, 443) == ("egress-router2", 8080)
        assert all(connection.echoes() for connection in connections)


def test_rules_that_are_refused_leave_the_old_ones(plugged: Client) -> None:
    with held(plugged) as connections:
        refused = PLUGIN.extension({"rules": [{"action": {"cluster": "x", "reject": True}}]})
        error = plugged.sidecar.refusal(plugged.sidecar.push(EXTENSION, [refused]))
        assert "Unable to create Wasm" in error
        assert plugged.reaches(INTERNET, 443) == (plugged.router, 8080)
        assert all(connection.echoes() for connection in connections)
    assert plugged.sidecar.envoy.log_lines("[TCP WASM] Refused: rules[0]")


def test_without_rules_the_clusters_do_not_exist_and_every_connection_is_closed(plugged: Client) -> None:
    configured(plugged.sidecar, PLUGIN.extension({}))
    before = len(plugged.sidecar.logged(0))
    assert plugged.reaches(INTERNET, 443) is None
    assert plugged.sidecar.logged(before + 1)[-1]["flags"] == "NC"


def test_without_a_module_only_clients_that_speak_first_are_closed(even: Client) -> None:
    """Istio denies with a filter that acts on the client's first byte. A NetworkPolicy must close this gap."""
    even.sidecar.push(EXTENSION, [PLUGIN.failed()])
    even.sidecar.use(LISTENERS, CLUSTERS)
    configured(even.sidecar, PLUGIN.failed())
    assert even.reaches(INTERNET, 80, HTTP) is None
    # The server speaks first here, and it is reached directly.
    assert even.reaches(INTERNET, 443) == ("internet", 443)


def test_without_a_module_that_may_be_missing_everybody_is_let_through(even: Client) -> None:
    manifest = manifests.of_kind(manifests.read("wasmplugin"), "WasmPlugin")[0]
    manifest["spec"]["failStrategy"] = "FAIL_OPEN"
    even.sidecar.push(EXTENSION, [PLUGIN.failed()])
    even.sidecar.use(LISTENERS, CLUSTERS)
    configured(even.sidecar, wasm_plugin.Plugin(manifest).failed())
    assert even.reaches(INTERNET, 80, HTTP) == ("internet", 80)


def test_a_new_pod_is_not_ready_before_its_plugin_has_come(mesh: Mesh) -> None:
    pod = mesh.hosts["pod-new"]
    istio_iptables.redirect(pod)
    sidecar = mesh.sidecars.made(pod)
    sidecar.push("Cluster", CLUSTERS)
    listeners = sidecar.push("Listener", LISTENERS)
    seen: list[str] = []

    def progress(seconds: float) -> None:
        if not seen and sidecar.answers(listeners):
            assert sidecar.readiness() == "INITIALIZING"
            with pytest.raises(ConnectionRefusedError):
                connect(pod, INTERNET, 443)
            seen.append(sidecar.push(EXTENSION, [PLUGIN.extension()]))

    with mesh.sidecars.run(sidecar, progress):
        assert len(seen) == 1
        answer = sidecar.ask(INTERNET, 443)
        assert answer is not None and answer.server == "egress-router1"
