"""k8s/README.md tells what was emulated, names what is there, and shows what the programs print."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.manifests.rendering import COMPONENTS, FOLDERS, K8S

README = (K8S / "README.md").read_text(encoding="utf-8")
SCRIPTS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_it_says_that_no_control_plane_ran_and_what_was_emulated() -> None:
    beginning = README.partition("## ")[0]
    assert "**No Istio control plane ran here.**" in beginning
    for part in ("iptables rules", "the sidecar's listeners", "EnvoyFilter", "ECDS", "tests/mesh", "tests/manifests"):
        assert part in beginning
    assert "Not tried at all: istiod" in beginning


def test_every_folder_and_component_is_named() -> None:
    for name in (*FOLDERS, "destinations"):
        assert f"{name}/" in README, name
    for name in COMPONENTS:
        assert f"[`{name}`](components/{name}/" in README
    folders = {path.name for path in K8S.iterdir() if path.is_dir()}
    assert folders == {*FOLDERS, "components", "destinations"}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_is_one(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_applied_is_there() -> None:
    applied = set(re.findall(r"(?:apply|delete) --kustomize (k8s/\w+)", README))
    assert applied == {"k8s/overlay", "k8s/load", "k8s/wasmplugin"}
    assert all(Path(path, "kustomization.yaml").is_file() for path in applied)


def test_the_lines_shown_are_those_of_the_programs() -> None:
    shown = re.findall(r"^    \[pod/client-\S+ (.*)$", README, re.MULTILINE)
    assert len(shown) == 2
    form = re.compile(r'ok (10\.244\.0\.(\d+)) by (egress-router[12]): \{"origin": "\1", "router": "\3"\}')
    for line in shown:
        found = form.fullmatch(line)
        assert found and found[3] == f"egress-router{int(found[2]) % 2 + 1}"
    assert re.search(r"^    egress-router1 forwards 10\.244\.0\.10:\d+ to 203\.0\.113\.80:443$", README, re.MULTILINE)
