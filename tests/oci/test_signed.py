"""`cosign` signs an image in a registry with a key, and verifies it without the network: a proof, as Debian 12 has no `cosign`."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from oci import image
from oci.registry import push
from tests.oci.conftest import Registry, needed

LAYOUTS = {"compat": Path("filter/image").absolute(), "oci": Path("filter/image_oci").absolute()}
# Whatever is not on loopback goes to a proxy that nobody runs, and so fails.
_ENVIRONMENT = {"COSIGN_PASSWORD": "", "HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}


@dataclass
class Keys:
    """A pair of keys in a directory, and `cosign` with them."""

    home: Path

    def cosign(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [needed("cosign"), *words]
        environment = _ENVIRONMENT | {"HOME": str(self.home)}
        return subprocess.run(command, env=environment, cwd=self.home, capture_output=True, text=True, timeout=60)

    def sign(self, place: str) -> None:
        done = self.cosign("sign", "--key=cosign.key", "--tlog-upload=false", "--allow-http-registry", "--yes", place)
        assert done.returncode == 0, done.stderr

    def verify(self, place: str) -> subprocess.CompletedProcess[str]:
        return self.cosign("verify", "--key=cosign.pub", "--insecure-ignore-tlog", "--allow-http-registry", place)


def keys(home: Path) -> Keys:
    """Makes a pair of keys."""
    home.mkdir()
    made = Keys(home)
    done = made.cosign("generate-key-pair")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(autouse=True)
def _programs() -> None:
    """A proof that skips proves nothing."""
    for program in ("cosign", "docker-registry"):
        assert shutil.which(program), f"{program} is not installed"


@pytest.mark.parametrize("variant", LAYOUTS)
def test_a_signed_image_is_verified_and_no_other(variant: str, registry: Registry, tmp_path: Path) -> None:
    ours, theirs = keys(tmp_path / "ours"), keys(tmp_path / "theirs")
    name = f"{registry.host}/signed-{variant}"
    place = f"{name}@{push(LAYOUTS[variant], f'{name}:1.0')}"
    assert "no signatures found" in ours.verify(place).stderr
    ours.sign(place)
    found = ours.verify(f"{name}:1.0")
    assert found.returncode == 0, found.stderr
    (signed,) = json.loads(found.stdout)
    assert signed["critical"]["image"]["docker-manifest-digest"] == image.digest(LAYOUTS[variant])
    refused = theirs.verify(place)
    assert refused.returncode and "invalid signature" in refused.stderr


def test_a_tag_that_was_moved_is_not_verified(registry: Registry, tmp_path: Path) -> None:
    ours = keys(tmp_path / "ours")
    place = f"{registry.host}/moved:1.0"
    ours.sign(f"{registry.host}/moved@{push(LAYOUTS['compat'], place)}")
    assert ours.verify(place).returncode == 0
    push(LAYOUTS["oci"], place)
    assert ours.verify(place).returncode
