"""What was built here has the digests that are committed, wherever here is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reproducible.digests import BUILT, IMAGE, UPDATE, committed, digest, name_image, named


@pytest.mark.parametrize("built", BUILT, ids=str)
def test_the_digest_is_the_committed_one(built: Path) -> None:
    expected = committed(built).read_text().split()[0]
    found = digest(built)
    assert found == expected, f"{built} is {found}, and {expected} is committed; if the change is meant: {UPDATE}"


def test_every_kind_is_there() -> None:
    assert len(BUILT) == 5 and BUILT[-1].suffix == ".whl"


def test_the_manifests_name_the_committed_image() -> None:
    wanted = committed(IMAGE).read_text().split()[0]
    naming = {path: named(path) for path in Path("k8s").rglob("*.yaml") if named(path)}
    assert len(naming) >= 4
    assert {path for path, digests in naming.items() if digests != {wanted}} == set(), (
        f"to bring them up to date: {UPDATE}"
    )


def test_a_manifest_gets_another_digest(tmp_path: Path) -> None:
    manifest = tmp_path / "a.yaml"
    manifest.write_text(f"reference: a/b@sha256:{'0' * 64}\n")
    name_image(manifest, "1" * 64)
    assert manifest.read_text() == f"reference: a/b@sha256:{'1' * 64}\n"
