"""The routing filter's images: the committed module is in them, where Istio looks for it, and a registry keeps them as they are."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path

import pytest

from oci import image
from oci.registry import RegistryError, push
from tests.oci import containers
from tests.oci.conftest import PASSWORD, USER, Registry, needed, run
from tests.oci.istio import NotTaken, module_of

LAYOUTS = {"compat": Path("filter/image").absolute(), "oci": Path("filter/image_oci").absolute()}
MODULE = Path("filter/filter.wasm").read_bytes()
NAME = "tcp-routing"

variants = pytest.mark.parametrize("variant", LAYOUTS)


def manifest(variant: str) -> bytes:
    return image.blob(LAYOUTS[variant], image.digest(LAYOUTS[variant]))


@variants
def test_istio_finds_the_module(variant: str) -> None:
    found = module_of(manifest(variant), lambda name: image.blob(LAYOUTS[variant], name))
    assert found == (variant, MODULE)


@variants
def test_an_image_is_a_function_of_the_module(variant: str, tmp_path: Path) -> None:
    annotations = {"org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.title": NAME}
    assert image.write(MODULE, tmp_path, variant, annotations) == image.digest(LAYOUTS[variant])


def test_the_annotations_tell_variant_and_module() -> None:
    for variant in LAYOUTS:
        annotations = json.loads(manifest(variant))["annotations"]
        assert annotations[image.VARIANT_ANNOTATION] == variant
        assert annotations[image.MODULE_ANNOTATION] == hashlib.sha256(MODULE).hexdigest()


def test_the_platform_is_one_that_containerd_mounts() -> None:
    config = json.loads(image.blob(LAYOUTS["compat"], json.loads(manifest("compat"))["config"]["digest"]))
    assert (config["os"], config["architecture"]) == ("linux", "amd64")


def test_what_istio_would_refuse_is_refused() -> None:
    def refused(layers: list[dict[str, str]]) -> str:
        with pytest.raises(NotTaken) as error:
            module_of(json.dumps({"layers": layers}).encode(), lambda name: b"")
        return str(error.value)

    assert "no layer" in refused([])
    assert "zstd" in refused([{"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": "x"}])
    assert "3 layers" in refused([{"mediaType": image.WASM_CONTENT, "digest": "x"}] * 3)


@variants
def test_a_registry_has_what_was_pushed(variant: str, registry: Registry) -> None:
    tag = f"pushed-{variant}"
    # The second time, everything is there already.
    digests = {push(LAYOUTS[variant], f"{registry.host}/{NAME}:{tag}") for _ in range(2)}
    assert digests == {image.digest(LAYOUTS[variant])}
    served = registry.get(f"{NAME}/manifests/{tag}", Accept=image.MANIFEST)
    assert served == manifest(variant)
    assert module_of(served, lambda name: registry.get(f"{NAME}/blobs/{name}")) == (variant, MODULE)


@variants
def test_skopeo_brings_it_there_and_back(variant: str, registry: Registry, tmp_path: Path) -> None:
    skopeo = [needed("skopeo"), "--insecure-policy", "copy", "--quiet"]
    place = f"docker://{registry.host}/{NAME}:skopeo-{variant}"
    there = run(*skopeo, "--dest-tls-verify=false", f"oci:{LAYOUTS[variant]}", place)
    assert there.returncode == 0, there.stderr
    back = run(*skopeo, "--src-tls-verify=false", place, f"oci:{tmp_path / 'back'}:latest")
    assert back.returncode == 0, back.stderr
    assert image.digest(tmp_path / "back") == image.digest(LAYOUTS[variant])
    assert module_of(manifest(variant), lambda name: image.blob(tmp_path / "back", name)) == (variant, MODULE)


def test_a_runtime_unpacks_what_a_volume_shows(registry: Registry, tmp_path: Path) -> None:
    umoci, skopeo = needed("umoci"), needed("skopeo")
    copied = run(skopeo, "--insecure-policy", "copy", f"oci:{LAYOUTS['compat']}", f"oci:{tmp_path / 'tagged'}:latest")
    assert copied.returncode == 0, copied.stderr
    done = run(umoci, "raw", "unpack", "--rootless", "--image", f"{tmp_path / 'tagged'}:latest", tmp_path / "volume")
    assert done.returncode == 0, done.stderr
    (file,) = (path for path in (tmp_path / "volume").rglob("*") if path.is_file())
    assert file.name == "plugin.wasm" and file.read_bytes() == MODULE
    assert stat.S_IMODE(file.stat().st_mode) == 0o444


def test_containerd_mounts_what_it_pulls(registry: Registry) -> None:
    if os.geteuid():
        pytest.skip("only root mounts")
    push(LAYOUTS["compat"], f"{registry.host}/{NAME}:mounted")
    place = f"{registry.host}/{NAME}@{image.digest(LAYOUTS['compat'])}"
    with tempfile.TemporaryDirectory(prefix="ctr-", dir="/tmp") as short, containers.serve(Path(short)) as containerd:
        containerd.ctr("pull", "--plain-http", place)
        with containerd.mounted(place, Path(short, "volume")) as volume:
            (file,) = volume.iterdir()
            assert file.name == "plugin.wasm" and file.read_bytes() == MODULE
            assert stat.S_IMODE(file.stat().st_mode) == 0o444


def test_without_the_password_nothing_gets_in(guarded: Registry) -> None:
    with pytest.raises(
        RegistryError, match=r"/v2/tcp-routing/blobs/sha256:\w+: 401 .*; no password is saved for it: `docker login"
    ):
        push(LAYOUTS["compat"], f"{guarded.host}/{NAME}:1.0")
    with pytest.raises(RegistryError, match="401"):
        push(LAYOUTS["compat"], f"{guarded.host}/{NAME}:1.0", credentials=(USER, "wrong"))


def test_with_the_password_of_docker_login_it_does(guarded: Registry, logged_in: None) -> None:
    digest = push(LAYOUTS["compat"], f"{guarded.host}/{NAME}:1.0")
    credentials = f"--creds={USER}:{PASSWORD}"
    found = run(needed("skopeo"), "inspect", "--tls-verify=false", credentials, f"docker://{guarded.host}/{NAME}:1.0")
    assert json.loads(found.stdout)["Digest"] == digest
