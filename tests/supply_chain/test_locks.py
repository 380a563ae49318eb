"""The lock files are read and written as pip, npm and Nix take them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.locks import NIX, NPM, PIP, Package, digest, pip_groups, read_npm_lock, read_pip_lock, write_pip_lock
from tools.nar import nar_hash
from tools.update_locks import MACHINES, NIX_GROUPS, changes

REFRESH = "third_party/nix.lock is of other versions: ./bazelw run //third_party:update -- --keep-versions"


@pytest.mark.parametrize("group", pip_groups(PIP))
def test_a_lock_that_was_read_is_written_back_as_it_was(group: str, tmp_path: Path) -> None:
    lock = PIP / f"{group}.lock"
    write_pip_lock(tmp_path / "written", read_pip_lock(lock))
    assert (tmp_path / "written").read_text() == lock.read_text()


def test_a_line_without_a_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.lock").write_text("ziglang==0.16.0\n")
    with pytest.raises(ValueError, match=r"x\.lock: this is no NAME==VERSION with hashes: ziglang==0\.16\.0"):
        read_pip_lock(tmp_path / "x.lock")


def test_npm_hashes_are_hexadecimal() -> None:
    for package in read_npm_lock(NPM / "package-lock.json"):
        algorithm, _, value = package.hashes[0].partition(":")
        assert (algorithm, len(bytes.fromhex(value))) == ("sha512", 64), package


@pytest.mark.parametrize("group", NIX_GROUPS)
def test_nix_has_the_hashes_of_these_wheels(group: str) -> None:
    entry = json.loads(NIX.read_text())[group]
    assert entry["lock"] == digest([PIP / f"{group}.lock"]), REFRESH
    assert set(entry) == {"lock", *(f"{machine}-linux" for machine in MACHINES)}


def test_nix_has_the_hash_of_these_npm_packages() -> None:
    files = [NPM / "package.json", NPM / "package-lock.json"]
    assert json.loads(NIX.read_text())["npm"]["lock"] == digest(files), REFRESH


def test_no_lock_names_an_index() -> None:
    for lock in [NIX, *PIP.glob("*.lock"), *NPM.glob("*.json")]:
        assert "://" not in lock.read_text(), lock


def test_the_hash_of_a_tree_is_nixs(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "directory").mkdir(parents=True)
    (tree / "directory" / "file").write_text("content\n")
    (tree / "program").write_text("#!/bin/sh\n")
    (tree / "program").chmod(0o755)
    (tree / "link").symlink_to("program")
    # As `nix hash path` of Nix 2.8 prints it.
    assert nar_hash(tree) == "sha256-lCukzekFScWUAgAdY/iF8dlpYVxUJSpsnzwAz/jX1Y0="


def test_an_update_says_what_changed() -> None:
    old = {"pip, a: x": Package("x", "1", ("sha256:00",)), "pip, a: y": Package("y", "1", ("sha256:00",))}
    new = {"pip, a: x": Package("x", "2", ("sha256:11",)), "npm: z": Package("z", "1", ("sha512:00",))}
    assert changes(old, new) == ["npm: z 1 is new", "pip, a: x 1 -> 2", "pip, a: y 1 is gone"]
    more = {"pip, a: x": Package("x", "1", ("sha256:00", "sha256:11")), "pip, a: y": old["pip, a: y"]}
    assert changes(old, more) == ["pip, a: x 1: 1 files -> 2 files"]
    assert changes(old, old) == []
