"""The load of `k8s/load`, in namespaces: the gateway's own configuration, a master with its web page, workers in two client pods."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envoy import process
from envoy.process import die_with_parent
from envoy.waiting import wait_for
from tests.manifests.rendering import Resource, containers
from tests.mesh import network
from tests.mesh.backends import connect
from tests.mesh.namespaces import Namespace

GATEWAY, MASTER = network.ROUTERS["egress-router1"], network.SERVER
NAMES = {"tcp-routing-gateway": GATEWAY, "locust": MASTER, **network.FORWARDERS}
"""The Services of the manifests, and who has their addresses here."""
PAGE = f"http://{MASTER}:8089"
WORKERS = ["pod-even", "pod-odd"]
START_SECONDS = 60.0


def _addressed(text: str) -> str:
    """Puts an address in place of a Service's name."""
    host, colon, port = text.partition(":")
    return f"{NAMES[host]}:{port}" if colon and host in NAMES else text


def gateway(manifest: str, module: Path) -> str:
    """Returns the gateway's configuration for this network: names are addresses, and what a pod mounts lies here."""
    text = manifest.replace("/etc/wasm/plugin.wasm", str(module)).replace("STRICT_DNS", "STATIC")
    for name in network.FORWARDERS:
        text = text.replace(f"{{address: {name}, port_value", f"{{address: {NAMES[name]}, port_value")
    return text


def _listens(namespace: Namespace, host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        connect(namespace, host, port).close()
        return True
    return False


@contextlib.contextmanager
def started(namespace: Namespace, log: Path, *words: str, environment: dict[str, str] | None = None) -> Iterator[None]:
    """Runs a Python module in a namespace for the block."""
    with log.open("wb") as out, namespace.entered():
        # -S: with this program's own path and nothing of the machine's site-packages.
        command = [sys.executable, "-S", "-m", *words]
        running = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, preexec_fn=die_with_parent
        )
    try:
        yield
    finally:
        running.kill()
        running.wait()


class Load:
    """What the manifests of `k8s/load` start, of which some is changed for this network."""

    def __init__(self, resources: list[Resource], environment: dict[str, str]) -> None:
        self._master, self._worker = (c for c in containers(resources) if c["name"] == "locust")
        self._environment = environment

    @contextlib.contextmanager
    def run(self, hosts: dict[str, Namespace], work: Path) -> Iterator[None]:
        """Runs the master, and a worker in each client pod."""
        locust = ["locust", "--locustfile", str(Path("bench/locustfile.py").absolute())]
        page = [word for word in self._master["args"] if word != "--headless"]
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._one(hosts["server"], work / "master.log", [*locust, *page], self._master))
            for name in WORKERS:
                asked = [word.replace("=locust", f"={MASTER}") for word in self._worker["args"]]
                stack.enter_context(self._one(hosts[name], work / f"{name}.log", [*locust, *asked], self._worker))
            listens = wait_for(lambda: _listens(hosts["internet"], MASTER, 8089), START_SECONDS, pause=0.1)
            assert listens, (work / "master.log").read_text(errors="replace")
            yield

    def _one(
        self, namespace: Namespace, log: Path, words: list[str], container: dict[str, Any]
    ) -> contextlib.AbstractContextManager[None]:
        given = {variable["name"]: _addressed(variable["value"]) for variable in container["env"]}
        return started(namespace, log, *words, environment=self._environment | given)


@contextlib.contextmanager
def routers_and_gateway(hosts: dict[str, Namespace], configuration: str, work: Path) -> Iterator[None]:
    """Runs both routers and the gateway."""
    with contextlib.ExitStack() as stack:
        for name, host in network.FORWARDERS.items():
            words = ["egress_router", "--name", name, "--host", host]
            stack.enter_context(started(hosts[name], work / f"{name}.log", *words))
        with hosts["services"].entered():
            stack.enter_context(process.run(configuration, work, workers=2))
        yield
