"""The runtime that the wheel brings, unpacked and compiled for this machine, once, in the user's cache directory."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import os
import platform
import shutil
import struct
import sys
import tempfile
import zipfile
import zlib
from importlib.metadata import version
from pathlib import Path

import wasmtime

from toolchain.tools import ToolchainError
from toolchain.vm.builder import make_engine

_PACKED = Path(os.path.abspath(__file__)).parent.parent / "runtime"


def cache() -> Path:
    """Returns the directory of this program's cache: under XDG_CACHE_HOME, or where the system keeps such things.

    Raises `ToolchainError` for a user without a home.
    """
    # A relative path is invalid, says the specification of XDG, and is ignored.
    if (given := os.environ.get("XDG_CACHE_HOME")) and Path(given).is_absolute():
        return Path(given, "proxy-wasm")
    try:
        home = Path.home()
    except RuntimeError as error:
        raise ToolchainError(f"there is no place for the cache: {error}; set XDG_CACHE_HOME to a directory") from None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "proxy-wasm"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home, "proxy-wasm", "cache")
    return home / ".cache" / "proxy-wasm"


def files() -> list[Path]:
    """Returns the compressed files; raises `ToolchainError` if this is not the wheel."""
    found = sorted(_PACKED.glob("*.gz"))
    if not found:
        raise ToolchainError(f"there is no runtime in {_PACKED}: the command runs from its wheel")
    return found


@functools.cache
def digest() -> str:
    """Returns the sha256 of the runtime, in hexadecimal."""
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files())).hexdigest()


def directory() -> Path:
    """Returns where the runtime is kept for this machine, whether it is there or not. Its name says all that it depends on."""
    parts = [digest()[:16], f"wasmtime-{version('wasmtime')}", platform.system(), platform.machine()]
    return cache() / "-".join(parts).lower()


def prepared() -> Path:
    """Returns the runtime's directory, after it was made if it was missing; raises `ToolchainError`."""
    kept = directory()
    if kept.is_dir():
        return kept
    made = _made(kept.parent)
    try:
        for file in files():
            (made / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        module = wasmtime.Module(make_engine(), (made / "runtime.wasm").read_bytes())
        (made / "runtime.cwasm").write_bytes(module.serialize())
        # Another process may have been quicker.
        with contextlib.suppress(OSError):
            made.rename(kept)
    except OSError as error:
        raise _unwritable(error) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return kept


@functools.cache
def library() -> frozenset[str]:
    """Returns the names of the standard library's modules; raises `ToolchainError`."""
    with zipfile.ZipFile(prepared() / "stdlib.zip") as file:
        paths = [name.removesuffix(".py").removesuffix("/__init__") for name in file.namelist() if name.endswith(".py")]
    # These two have no file of their own.
    return frozenset(path.replace("/", ".") for path in paths) | {"collections.abc", "os.path"}


def expect_writable() -> None:
    """Raises `ToolchainError` if nothing can be written to the cache."""
    _made(cache()).rmdir()


def expect_whole(kept: Path) -> None:
    """Raises `ToolchainError` if a file of an unpacked runtime is not as the wheel brings it. It reads all of them."""
    for file in files():
        # A gzip file ends with the checksum and the length of what is in it.
        checksum, _ = struct.unpack("<II", file.read_bytes()[-8:])
        try:
            whole = zlib.crc32((kept / file.stem).read_bytes()) == checksum
        except OSError:
            whole = False
        if not whole:
            raise ToolchainError(
                f"{kept / file.stem} is damaged: delete the folder {kept}, and the next build makes it anew"
            )


def _made(parent: Path) -> Path:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        # What is compiled is machine code: nobody else may write it. mkdtemp's directories are the user's alone.
        return Path(tempfile.mkdtemp(dir=parent))
    except OSError as error:
        raise _unwritable(error) from None


def _unwritable(error: OSError) -> ToolchainError:
    return ToolchainError(
        f"cannot write to the cache {cache()}: {error.strerror}; set XDG_CACHE_HOME to a directory of yours with some 100 MB"
    )
