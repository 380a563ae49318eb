"""What a command writes: refused before the work if it cannot be written, and whole or not there afterwards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from command import images, inspecting, outputs
from toolchain.tools import ToolchainError


def test_a_file_is_written_over_with_its_permissions_and_through_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "a.wasm", tmp_path / "link.wasm"
    outputs.write(file, b"first")
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask()
    file.chmod(0o640)
    link.symlink_to(file)
    outputs.write(link, b"second")
    assert link.is_symlink() and file.read_bytes() == b"second" and file.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wasm", "link.wasm"]


def umask() -> int:
    found = os.umask(0o022)
    os.umask(found)
    return found


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:1])
        raise OSError(28, "No space left on device")

    file = tmp_path / "a.wasm"
    outputs.write(file, b"good")
    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(ToolchainError, match=r"cannot write .*a\.wasm: No space left on device"):
        outputs.write(file, b"better")
    assert list(tmp_path.iterdir()) == [file] and file.read_bytes() == b"good"


def test_two_that_write_one_file_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.wasm"
    once = Path.write_bytes

    def meanwhile(path: Path, data: bytes) -> int:
        monkeypatch.undo()
        written = once(path, data)
        outputs.write(file, b"the other's")
        return written

    # In two containers both are process 1.
    monkeypatch.setattr(Path, "write_bytes", meanwhile)
    outputs.write(file, b"mine")
    assert list(tmp_path.iterdir()) == [file] and file.read_bytes() == b"mine"


def test_a_device_is_written_into() -> None:
    outputs.expect_writable(Path("/dev/null"))
    outputs.write(Path("/dev/null"), b"data")
    with pytest.raises(ToolchainError, match="cannot write /dev/full: No space left on device"):
        outputs.write(Path("/dev/full"), b"data")


def test_only_the_projects_own_folder_is_made(tmp_path: Path) -> None:
    build = tmp_path / "build"
    outputs.expect_writable(build / "a.wasm", made=build)
    assert not build.exists()
    for path, text in (
        (tmp_path / "typo" / "a.wasm", "there is no folder .*typo; make it, or change the path"),
        (tmp_path, "it is a folder; give the path of a file"),
        (Path(), "it is a folder; give the path of a file"),
        (Path("/proc/a.wasm"), "cannot write /proc/a.wasm: "),
    ):
        with pytest.raises(ToolchainError, match=text):
            outputs.expect_writable(path, made=build)
    assert not list(tmp_path.iterdir())


def test_an_image_leaves_a_folder_with_something_else_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting, "verified", lambda path: "")
    module, folder = tmp_path / "a.wasm", tmp_path / "project"
    module.write_bytes(b"\0asm\1\0\0\0")
    folder.mkdir()
    first = images.write(module, folder, "compat")
    assert images.write(module, folder, "compat") == first
    (folder / "oci-layout").unlink()
    before = sorted(folder.iterdir())
    with pytest.raises(ToolchainError, match=r"project is there already, and is no image; choose another folder"):
        images.write(module, folder, "compat")
    assert sorted(folder.iterdir()) == before
