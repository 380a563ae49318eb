"""Runs the pinned Envoy as a pod's sidecar: in the pod's namespace, and as the user whose connections Istio's rules leave alone."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from envoy import process
from envoy.waiting import wait_for
from tests.mesh import istio_sidecar
from tests.mesh.backends import Answer, ask
from tests.mesh.control_plane import ControlPlane, Node
from tests.mesh.istio_iptables import PROXY_UID
from tests.mesh.namespaces import Namespace, command

ADMIN = ("127.0.0.1", 15000)
ANSWER_SECONDS = process.START_SECONDS
MODULE_IN_POD = "/etc/wasm/plugin.wasm"
_AS_PROXY = """\
#!/bin/sh
exec setpriv --reuid {uid} --regid {uid} --clear-groups --pdeathsig KILL {more} {program} "$@"
"""


class Sidecar:
    """A pod with its Envoy, and what its control plane gives it."""

    def __init__(self, pod: Namespace, node: Node, work: Path, replaced: dict[str, str]) -> None:
        self.pod, self._node = pod, node
        self.access_log = work / "access.log"
        self._replaced = {**replaced, istio_sidecar.ACCESS_LOG: str(self.access_log)}
        self._used: tuple[list[istio_sidecar.Part], list[istio_sidecar.Part] | None] = ([], None)
        self.envoy: process.Envoy

    def bootstrap(self) -> istio_sidecar.Part:
        """Returns the configuration that Envoy starts with."""
        return {"admin": {"address": istio_sidecar.address(*ADMIN)}, **self._node.bootstrap()}

    def push(self, kind: str, resources: list[istio_sidecar.Part]) -> str:
        """Has resources pushed, all of a kind; returns their version."""
        text = json.dumps(resources)
        for name, value in self._replaced.items():
            text = text.replace(name, value)
        return self._node.push(kind, json.loads(text))

    def answers(self, version: str) -> list[dict[str, str]]:
        """Returns what Envoy has said of a version until now."""
        return self._node.answers(version)

    def refusal(self, version: str) -> str:
        """Waits for what Envoy says of a version; returns its error, or "" if it took it."""
        assert wait_for(lambda: self.answers(version), ANSWER_SECONDS), "Envoy does not answer a push"
        return self.answers(version)[-1]["error"]

    def use(self, listeners: list[istio_sidecar.Part], clusters: list[istio_sidecar.Part] | None = None) -> None:
        """Has these listeners in place of the former ones, and these clusters, and waits until connections come to them."""
        if (listeners, clusters) == self._used:
            return
        assert self.refusal(self.push("Cluster", clusters or istio_sidecar.clusters())) == ""
        changed = [listener for listener in listeners if listener not in self._used[0]]
        before = self._created()
        assert self.refusal(self.push("Listener", listeners)) == ""
        self._used = (listeners, clusters)
        created = before + len(changed)
        assert wait_for(lambda: self._created() >= created, ANSWER_SECONDS)
        self.access_log.write_text("")

    def _created(self) -> int:
        # While the module is compiled, nobody answers.
        with contextlib.suppress(TimeoutError):
            return self.counter("listener_manager.listener_create_success")
        return 0

    def ask(self, host: str, port: int, send: bytes = b"") -> Answer | None:
        """Asks a server from the pod's application, as `backends.ask` does."""
        return ask(self.pod, host, port, send)

    def readiness(self) -> str:
        """Returns Envoy's state, such as LIVE; it may not be ready yet."""
        with self.pod.entered(), contextlib.closing(http.client.HTTPConnection(*ADMIN)) as connection:
            connection.request("GET", "/ready")
            return connection.getresponse().read().decode().strip()

    def counter(self, name: str) -> int:
        """Returns a counter or gauge of Envoy's statistics."""
        with self.pod.entered():
            return self.envoy.counter(name)

    def logged(self, connections: int = 1) -> list[dict[str, str]]:
        """Waits until the access log has a number of connections, and returns it."""
        assert wait_for(lambda: len(self._lines()) >= connections), f"{len(self._lines())} of {connections} lines"
        return [json.loads(line) for line in self._lines()]

    def _lines(self) -> list[str]:
        return self.access_log.read_text().splitlines() if self.access_log.exists() else []


class Sidecars:
    """Starts sidecars; what they need lies in one directory that their user can read."""

    def __init__(self, work: Path, module: Path, control_plane: ControlPlane) -> None:
        self._work, self._control_plane = work, control_plane
        self._module = self._mounted(module, "plugin.wasm")
        self._program = self._mounted(process.binary(), "envoy")

    def unmount(self) -> None:
        """Leaves the directory as one that can be deleted."""
        for path in (self._module, self._program):
            command("umount", str(path))

    def _mounted(self, file: Path, name: str) -> Path:
        # Root's own directories are closed to others; a mount is no copy of a hundred megabytes.
        target = self._work / name
        target.touch()
        command("mount", "--bind", str(file.resolve()), str(target))
        return target

    def made(self, pod: Namespace) -> Sidecar:
        """Returns a sidecar that does not run yet, so that its first resources can be pushed."""
        work = self._work / pod.name
        work.mkdir()
        work.chmod(0o777)
        return Sidecar(pod, self._control_plane.node(pod.name), work, {MODULE_IN_POD: str(self._module)})

    @contextlib.contextmanager
    def run(
        self, sidecar: Sidecar, progress: Callable[[float], None] = lambda seconds: None, net_admin: bool = False
    ) -> Iterator[None]:
        """Runs a sidecar for the block; `net_admin` gives it the capability that TPROXY needs.

        `progress` is called until it is ready. Raises envoy.process.EnvoyError if it does not become ready.
        """
        work = sidecar.access_log.parent
        program = work / "envoy.sh"
        more = "--inh-caps +net_admin --ambient-caps +net_admin" if net_admin else ""
        program.write_text(_AS_PROXY.format(uid=PROXY_UID, more=more, program=self._program))
        program.chmod(0o755)
        with contextlib.ExitStack() as stack:
            with sidecar.pod.entered():
                running = process.run(sidecar.bootstrap(), work, program=program, progress=progress)
                sidecar.envoy = stack.enter_context(running)
            yield
