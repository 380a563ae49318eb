"""Runs a real API server of Kubernetes on loopback, and kubectl against it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from envoy.process import die_with_parent
from envoy.waiting import wait_for
from tests.manifests.rendering import kubectl

PROGRAM = Path(os.environ.get("KUBE_APISERVER", "/usr/local/bin/kube-apiserver"))
"""Where `tools/kube-apiserver` put it."""
START_SECONDS = 120.0
_TOKEN = "of-this-test-alone"


@dataclass
class Done:
    """What became of a command: whether it succeeded, and what it wrote."""

    succeeded: bool
    text: str


class Server:
    """A server that runs, with nothing in it but what it makes itself."""

    def __init__(self, configuration: Path) -> None:
        self._configuration = configuration

    def kubectl(self, *words: str, stdin: str = "") -> Done:
        """Runs kubectl."""
        command = [str(kubectl()), f"--kubeconfig={self._configuration}", *words]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=START_SECONDS)
        return Done(done.returncode == 0, done.stdout + done.stderr)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _started(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=die_with_parent)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def missing() -> str:
    """Returns what must be installed first, or ""."""
    for program in (str(PROGRAM), "etcd", "openssl"):
        if not shutil.which(program):
            return f"there is no {program}: tools/kube-apiserver {PROGRAM}"
    return ""


@contextlib.contextmanager
def run(work: Path) -> Iterator[Server]:
    """Runs etcd and the server with their files in a directory; raises AssertionError if the server does not become ready."""
    clients, peers, secure = (f"http://127.0.0.1:{_free_port()}" for _ in range(3))
    etcd = ["etcd", f"--data-dir={work / 'etcd'}", f"--listen-client-urls={clients}", f"--listen-peer-urls={peers}"]
    etcd += [f"--advertise-client-urls={clients}", "--initial-cluster", f"default={peers}"]
    etcd += [f"--initial-advertise-peer-urls={peers}"]
    key, tokens, configuration = work / "accounts.key", work / "tokens", work / "kubeconfig"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    tokens.write_text(f"{_TOKEN},admin,admin,system:masters\n")
    command = [str(PROGRAM), f"--etcd-servers={clients}", "--bind-address=127.0.0.1", f"--cert-dir={work / 'certs'}"]
    command += [
        f"--secure-port={secure.rpartition(':')[2]}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
    ]
    command += ["--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc"]
    command += [f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}"]
    command += ["--disable-admission-plugins=ServiceAccount"]
    cluster = {"server": secure.replace("http:", "https:"), "insecure-skip-tls-verify": True}
    context = {"cluster": "test", "user": "test"}
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": _TOKEN}}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    configuration.write_text(json.dumps(made))
    log = work / "server.log"
    with _started(etcd, work / "etcd.log"), _started(command, log):
        server = Server(configuration)
        ready = wait_for(lambda: server.kubectl("get", "namespace", "default").succeeded, START_SECONDS)
        assert ready, log.read_text(errors="replace")[-2000:]
        yield server
