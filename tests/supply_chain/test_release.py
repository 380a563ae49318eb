"""A release is whole, says what it is, and is the same bytes wherever and whenever it is made."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools.copy_release import BUILT, copy
from tools.release import PUBLISH, SUMS, sums, write

FILES = {path.name: path for path in BUILT.iterdir()}
[WHEEL] = [name for name in FILES if name.endswith(".whl")]
VERSION = WHEEL.split("-")[1]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_everything_is_there_by_the_versions_name() -> None:
    images = {f"filter-{VERSION}-image.tar", f"filter-{VERSION}-image_oci.tar"}
    modules = {f"filter-{VERSION}.wasm", f"runtime-{VERSION}.wasm"}
    assert FILES.keys() == images | modules | {WHEEL, "sbom.cdx.json", "provenance.json", PUBLISH, SUMS}
    with zipfile.ZipFile(FILES[WHEEL]) as archive:
        assert f"proxy_wasm-{VERSION}.dist-info/METADATA" in archive.namelist()


def test_the_changelog_knows_the_version() -> None:
    assert f"\n## {VERSION}\n" in Path("CHANGELOG.md").read_text(encoding="utf-8")


def test_the_checksums_are_those_of_the_files() -> None:
    found = FILES[SUMS].read_text().splitlines()
    assert found == [f"{sha256(FILES[name].read_bytes())}  {name}" for name in sorted(FILES) if name != SUMS]


def test_the_provenance_is_on_what_is_released() -> None:
    subjects = {s["digest"]["sha256"] for s in json.loads(FILES["provenance.json"].read_text())["subject"]}
    assert subjects == {
        sha256(FILES[n].read_bytes()) for n in (WHEEL, f"filter-{VERSION}.wasm", f"runtime-{VERSION}.wasm")
    }


def test_the_images_have_the_released_module() -> None:
    module = FILES[f"filter-{VERSION}.wasm"].read_bytes()
    with tarfile.open(FILES[f"filter-{VERSION}-image_oci.tar"]) as archive:
        assert f"blobs/sha256/{sha256(module)}" in archive.getnames()
        index = archive.extractfile("index.json")
        assert index is not None
        [manifest] = json.loads(index.read())["manifests"]
        assert f"blobs/{manifest['digest'].replace(':', '/')}" in archive.getnames()


def test_every_file_is_explained_and_every_explained_one_there() -> None:
    text = FILES[PUBLISH].read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert rows | {PUBLISH} == FILES.keys()
    assert "unsigned" in text


def test_times_order_and_permissions_do_not_count(tmp_path: Path) -> None:
    written = []
    for seed in (1, 2):
        inputs = tmp_path / f"in{seed}"
        image = inputs / "image"
        (image / "blobs").mkdir(parents=True)
        names = [("a.wasm", b"module"), ("sbom.json", b"{}"), ("image/index.json", b"{}"), ("image/blobs/x", b"x")]
        for name, data in names[:: 1 if seed == 1 else -1]:
            (inputs / name).write_bytes(data)
            (inputs / name).chmod(0o600 if seed == 1 else 0o664)
            os.utime(inputs / name, (seed * 10**9, seed * 10**9))
        out = tmp_path / f"out{seed}"
        write(out, "1.2.3", [inputs / "a.wasm", inputs / "sbom.json"], [image])
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert written[0] == written[1]
    assert written[0].keys() == {"a-1.2.3.wasm", "sbom.json", "filter-1.2.3-image.tar", PUBLISH, SUMS}
    with tarfile.open(fileobj=io.BytesIO(written[0]["filter-1.2.3-image.tar"])) as archive:
        assert archive.getnames() == ["blobs/x", "index.json"]


def test_dist_has_what_was_built_and_nothing_older(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "old.whl").touch()
    assert copy(BUILT, tmp_path / "dist") == sums(tmp_path / "dist")
    assert {path.name for path in (tmp_path / "dist").iterdir()} == FILES.keys()


def test_a_file_that_was_changed_is_not_released(tmp_path: Path) -> None:
    write(tmp_path / "built", "1.2.3", [], [])
    (tmp_path / "built" / PUBLISH).write_text("something else")
    with pytest.raises(SystemExit, match="is not what was released"):
        copy(tmp_path / "built", tmp_path / "dist")
