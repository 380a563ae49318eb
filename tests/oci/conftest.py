"""Debian's `docker-registry` on loopback, for anyone and for those who know the password; skipped if it is not installed."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from envoy.process import die_with_parent
from envoy.waiting import wait_for

USER, PASSWORD = "author", "secret"
_HTPASSWD = f"{USER}:$2b$04$KdXdLQSOWPcn/x1XZ0/26uE81gp14DWaoyyKHmF/Dn8pVugW5.PVK\n"
"""The password's bcrypt, the only form that the registry takes."""
START_SECONDS = 30.0


@dataclass(frozen=True)
class Registry:
    """A running registry: `127.0.0.1:PORT`."""

    host: str

    def get(self, path: str, **headers: str) -> bytes:
        """Returns what the registry answers below `/v2/`; raises urllib's HTTPError if it is no success."""
        request = urllib.request.Request(f"http://{self.host}/v2/{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())


def needed(program: str) -> str:
    """Returns a program's path, or skips the test and says which package has it."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not installed: tools/debian-install {program}")
    return found


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command and returns its output, whatever its exit status."""
    return subprocess.run(
        [str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


@contextlib.contextmanager
def serve(work: Path, password: bool = False) -> Iterator[Registry]:
    """Runs a registry whose files are below `work`."""
    program = needed("docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    configuration = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(work / "storage")}},
        "http": {"addr": host},
    }
    if password:
        (work / "htpasswd").write_text(_HTPASSWD)
        configuration["auth"] = {"htpasswd": {"realm": "test", "path": str(work / "htpasswd")}}
    # YAML is a superset of JSON.
    (work / "registry.yml").write_text(json.dumps(configuration))
    with (work / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(work / "registry.yml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
    try:
        registry = Registry(host)
        _wait(registry, process, work / "registry.log")
        yield registry
    finally:
        process.terminate()
        process.wait(10)


def _wait(registry: Registry, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            registry.get("")
        except urllib.error.HTTPError as error:
            error.close()  # a registry that asks for a password answers, too
        except OSError:
            return False
        return True

    assert wait_for(answers, START_SECONDS), log.read_text(errors="replace")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry for anyone."""
    with serve(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that asks for the password."""
    with serve(tmp_path_factory.mktemp("guarded"), password=True) as running:
        yield running


@pytest.fixture
def logged_in(guarded: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `docker login` leaves behind for the guarded registry."""
    saved = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {guarded.host: {"auth": saved}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
