"""One stack of docker-compose.yaml for all tests here, on the machine's Docker engine; skipped where none answers.

The stack is a copy of what the repository has, under a project name of its own, and no port of the host is published. All traffic
stays on the stack's network: clients are containers there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from envoy import waiting

PROJECT = "envoy-tcp-routing-test"
NETWORK = "envoy-tcp-routing"
ROUTERS = ["egress-router1", "egress-router2"]
CLIENTS = {f"{PROJECT}-client-even": "172.22.0.30", f"{PROJECT}-client-odd": "172.22.0.31"}
CLIENT_NAMES = list(CLIENTS)
MODULE = "bazel-bin/filter/filter.wasm"
COMMAND_SECONDS = 600.0
WAIT_SECONDS = 150.0
"""How long anything here may take to happen. It takes seconds on a machine with nothing else to do."""

# Ports of the host may be taken by whoever tries the stack at the same time.
_OVERRIDE = """\
services:
  envoy: {ports: !reset []}
  locust: {ports: !reset []}
  prometheus: {ports: !reset []}
"""


def run(
    *command: str, directory: Path | None = None, environment: Mapping[str, str] | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a command and returns its output; fails the test if its exit status is not 0, unless `check` is off."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=COMMAND_SECONDS,
    )
    if check and done.returncode:
        pytest.fail(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_for(found: Callable[[], bool]) -> bool:
    """Waits as long as anything here may take, and tells whether it came to be."""
    return waiting.wait_for(found, WAIT_SECONDS, pause=0.5)


@dataclass
class Stack:
    """A copy of what `docker compose` needs of the repository, and the stack made from it."""

    directory: Path

    def compose(
        self, *arguments: str, environment: Mapping[str, str] | None = None, check: bool = True, override: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker compose` with all profiles; `override` is one more compose file's text."""
        files = {"docker-compose.yaml": "", "test.yaml": _OVERRIDE, "override.yaml": override}
        command = ["docker", "compose", "--project-name", PROJECT, "--ansi", "never", "--profile", "*"]
        for name, text in files.items():
            if text:
                (self.directory / name).write_text(text)
            if text or name == "docker-compose.yaml":
                command += ["--file", name]
        return run(*command, *arguments, directory=self.directory, environment=environment, check=check)

    def up(self) -> None:
        """Starts those of Envoy and the routers that do not run, and waits until they are healthy."""
        assert wait_for(lambda: self.compose("up", "--detach", "--wait", "envoy", check=False).returncode == 0), (
            self.compose("logs", "envoy").stdout
        )

    def container(self, service: str) -> str:
        """Returns the id of a service's container."""
        return self.compose("ps", "--all", "--quiet", service).stdout.split()[0]

    def inspect(self, service: str, template: str) -> str:
        """Returns what `docker inspect` says of a service's container."""
        return run("docker", "inspect", "--format", template, self.container(service)).stdout.strip()

    def log(self) -> list[str]:
        """Returns the lines of the access log, then those of Envoy's log."""
        logs = run("docker", "logs", self.container("envoy"))
        return (logs.stdout + logs.stderr).splitlines()

    def curl(self, parity: int, seconds: int = 60, port: int = 10000, path: str = "/ip") -> list[str]:
        """Returns the command by which the even or the odd client asks Envoy."""
        asks = ["curl", "--silent", "--show-error", "--max-time", str(seconds), f"http://envoy:{port}{path}"]
        return ["docker", "exec", CLIENT_NAMES[parity], *asks]

    def answered(self, parity: int) -> bool:
        """Tells whether a client of this parity reaches its router."""
        return f'"{ROUTERS[parity]}"' in run(*self.curl(parity), check=False).stdout


def _no_engine() -> str:
    """Returns why the stack cannot run here, or ""."""
    if not shutil.which("docker"):
        return "docker is not installed: tools/docker-engine up"
    if run("docker", "version", "--format", "{{.Server.Version}}", check=False).returncode:
        return "no Docker engine answers: tools/docker-engine up"
    if run("docker", "compose", "version", check=False).returncode:
        return "docker has no compose 2: tools/docker-engine up"
    return ""


def _copy(work: Path) -> Path:
    """Copies what `docker compose` reads into a directory, all but the module."""
    tree = work / "tree"
    for name in [".dockerignore", "docker-compose.yaml", "bench", "egress_router", "envoy", "observe", "third_party"]:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # What lies here are Bazel's links.
        shutil.copytree(name, target) if Path(name).is_dir() else shutil.copy(name, target)
    # Bazel has no name for a link that may lead nowhere: it is where the other files really are.
    links = [path for path in Path(os.path.realpath("envoy/envoy.yaml")).parent.iterdir() if path.is_symlink()]
    assert links
    for link in links:
        (tree / "envoy" / link.name).symlink_to(link.readlink())
    return tree


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack's images, built, and nothing started yet; the module is not there."""
    if reason := _no_engine():
        pytest.skip(reason)
    stack = Stack(_copy(tmp_path_factory.mktemp("compose")))
    # What a test left behind that was killed.
    run("docker", "rm", "--force", *CLIENTS, check=False)
    stack.compose("down", "--volumes", "--remove-orphans")
    if run("docker", "network", "inspect", NETWORK, check=False).returncode == 0:
        pytest.fail(f"the network {NETWORK} is there already: stop the stack first (docker compose down)")
    stack.compose("build")
    yield stack
    stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "2")


@pytest.fixture(scope="session")
def stack(built: Stack) -> Iterator[Stack]:
    """The stack with Envoy and both routers healthy, and a client for each parity."""
    module = built.directory / MODULE
    module.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(os.environ.get("FILTER_WASM", "filter/filter.wasm"), module)
    built.up()
    try:
        for name, address in CLIENTS.items():
            command = ["docker", "run", "--detach", "--rm", "--init", "--name", name, "--network", NETWORK]
            run(*command, "--ip", address, "curlimages/curl", "sleep", "1800")
        yield built
    finally:
        run("docker", "rm", "--force", *CLIENTS, check=False)
