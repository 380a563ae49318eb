"""The scripts of k8s/README.md, run word for word: real files and kubectl's kustomize, and stand-ins for what needs a cluster."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.manifests.rendering import copied, kubectl
from tests.manifests.test_readme import SCRIPTS

REGISTRY = "172.18.0.5"
# What a program is asked, one a line; what it answers is what its real one would here.
_STAND_IN = """\
#!/bin/sh
echo "${{0##*/}} $*" >> {asked}
case "${{0##*/}} $*" in
"kubectl apply --kustomize "*|"kubectl delete --kustomize "*) exec {kubectl} kustomize "$3" ;;
"kind get nodes") echo kind-control-plane ;;
"docker inspect"*) echo {registry} ;;
"docker exec -i "*|"jq "*) cat >/dev/null ;;
*"GET stats") echo wasmcustom.tcp_routing.routed.egress-router1: 5 ;;
esac
"""
PROGRAMS = ["bazelw", "cosign", "docker", "istioctl", "jq", "kind", "kubectl"]


@dataclass
class Reader:
    """Somebody who follows the page in a copy of the repository."""

    directory: Path

    def follow(self, script: str) -> str:
        """Runs a script, which must succeed at each line; returns what it shows."""
        environment = os.environ | {"PATH": f"{self.directory}:{os.environ['PATH']}"}
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, ""), script
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    copied(tmp_path)
    for name in PROGRAMS:
        text = _STAND_IN.format(asked=tmp_path / "asked", kubectl=os.path.abspath(kubectl()), registry=REGISTRY)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return Reader(tmp_path)


def test_every_script_runs_as_it_stands(reader: Reader) -> None:
    shown = [reader.follow(script) for script in SCRIPTS]
    asked = (reader.directory / "asked").read_text()
    assert {line.partition(" ")[0] for line in asked.splitlines()} == set(PROGRAMS)
    manifests = "".join(shown)
    assert "registry.example.com" not in manifests
    # An image volume's puller is the node, and a plugin's is the pod.
    references = set(re.findall(r"\S+/tcp-routing\b", manifests))
    assert {found.strip('"').rpartition('"')[2] for found in references} >= {
        "localhost:5001/tcp-routing",
        f"oci://{REGISTRY}:5000/tcp-routing",
    }
    assert f"cidr: {REGISTRY}/32" in manifests


def test_a_line_that_fails_would_be_seen(reader: Reader) -> None:
    with pytest.raises(AssertionError):
        reader.follow("kubectl apply --kustomize k8s/overlays")
