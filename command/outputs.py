"""The files that a command writes: refused before the work if they cannot be, and never left half written."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from toolchain.tools import ToolchainError


def expect_writable(path: Path, made: Path | None = None) -> None:
    """Raises `ToolchainError` if a file cannot be written. `made` is a folder that is made for it if it is missing."""
    folder = path.absolute().parent
    if path.is_dir():
        raise ToolchainError(f"cannot write {path}: it is a folder; give the path of a file")
    if _is_device(path):
        return
    if folder == made and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ToolchainError(f"cannot write {path}: there is no folder {folder}; make it, or change the path")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ToolchainError(f"cannot write {path}: {error.strerror}") from None


def write(path: Path, data: bytes) -> None:
    """Writes a file as a whole, or leaves the one that is there; raises `ToolchainError`. Its folder is made if it is missing."""
    # A link stays one.
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        if _is_device(path):
            path.write_bytes(data)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    except OSError as error:
        raise ToolchainError(f"cannot write {path}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _is_device(path: Path) -> bool:
    """Tells whether a path is something to write into that is no file, such as /dev/null."""
    return path.exists() and not path.is_file()
