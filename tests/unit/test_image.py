"""An image is a function of the module, and nothing else gets into it."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from oci import image

MODULE = b"\0asm\1\0\0\0" + bytes(range(256)) * 600
"""No module, but of the length of more than two stored blocks."""


def manifest(directory: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(image.blob(directory, image.digest(directory)))
    return parsed


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("compat", "sha256:d20e047cbf57c245b9a7d4018cfe08708c0370c41523068d4a99263143c86905"),
        ("oci", "sha256:dc78d5379c631baa8cd5bf3c5a928e76b33d43b0b4d96984ac911cca27eb7e12"),
    ],
)
def test_the_digest_is_the_same_on_every_machine(variant: str, expected: str, tmp_path: Path) -> None:
    assert image.write(MODULE, tmp_path, variant, {"a": "ä"}) == expected == image.digest(tmp_path)


def test_the_layer_of_compat_is_one_file_for_all_to_read(tmp_path: Path) -> None:
    image.write(MODULE, tmp_path)
    (layer,) = manifest(tmp_path)["layers"]
    assert layer["mediaType"] == image.TAR_GZIP
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(image.blob(tmp_path, layer["digest"])))) as tar:
        (member,) = tar
        assert (member.name, member.mode, member.uid, member.mtime) == ("plugin.wasm", 0o444, 0, 0)
        file = tar.extractfile(member)
        assert file and file.read() == MODULE


def test_a_layer_of_oci_is_the_module(tmp_path: Path) -> None:
    image.write(MODULE, tmp_path, "oci")
    layers = {layer["mediaType"]: layer for layer in manifest(tmp_path)["layers"]}
    assert set(layers) == {image.WASM_CONFIG, image.WASM_CONTENT}
    assert image.blob(tmp_path, layers[image.WASM_CONTENT]["digest"]) == MODULE


@pytest.mark.parametrize("length", [0, 1, 65534, 65535, 65536, 131070, 200000])
def test_stored_gzip_is_gzip(length: int) -> None:
    content = b"x" * length
    assert gzip.decompress(image.gzip_stored(content)) == content


def test_annotations_of_its_own_win(tmp_path: Path) -> None:
    image.write(MODULE, tmp_path, annotations={image.VARIANT_ANNOTATION: "other", "title": "x"})
    annotations = manifest(tmp_path)["annotations"]
    assert annotations[image.VARIANT_ANNOTATION] == "compat" and annotations["title"] == "x"


def test_what_is_no_module_or_variant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no core module"):
        image.write(b"\0asm\x0d\0\1\0", tmp_path)
    with pytest.raises(ValueError, match="no variant 'docker' of an image: it is one of compat, oci"):
        image.write(MODULE, tmp_path, "docker")


def test_a_damaged_layout_is_told(tmp_path: Path) -> None:
    digest = image.write(MODULE, tmp_path)
    (tmp_path / "blobs" / digest.replace(":", "/")).write_bytes(b"{}")
    with pytest.raises(ValueError, match="another digest"):
        image.blob(tmp_path, digest)
    (tmp_path / "index.json").write_text('{"manifests": []}')
    with pytest.raises(ValueError, match="0 images, and not one"):
        image.digest(tmp_path)


def test_the_command_line(tmp_path: Path) -> None:
    def oci(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", "-m", "oci", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    (tmp_path / "a.wasm").write_bytes(MODULE)
    done = oci("image", tmp_path / "a.wasm", tmp_path / "layout", "--annotation", "a=b=c")
    assert done.stdout.strip() == image.digest(tmp_path / "layout")
    annotations = manifest(tmp_path / "layout")["annotations"]
    assert annotations["a"] == "b=c"
    wrong = oci("push", tmp_path / "layout", "filter:1.0")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "error: 'filter:1.0' is no place in a registry: write HOST[:PORT]/NAME[:TAG], as registry.example.com/filter:1.0\n",
    )
