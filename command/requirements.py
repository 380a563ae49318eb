"""The packages of a requirements file: pip installs them, for any platform, into the user's cache directory."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from toolchain.cpython.component import LIBPYTHON
from toolchain.tools import ToolchainError

PYTHON = LIBPYTHON.removeprefix("libpython").removesuffix(".so")
"""The version of Python that a filter runs, such as 3.14."""

_PURE = ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
_QUIET = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
_NO_WHEEL = "No matching distribution found for "


def installed(file: Path, cache: Path, locked: bool) -> Path:
    """Returns a directory with the packages, and nothing else; it is made if no build has made it before.

    If it is locked, each package needs a hash. Raises `ToolchainError` with what pip says.
    """
    kept = cache / "packages" / _digest(file, locked)
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=kept.parent))
    try:
        hashes = ["--require-hashes"] if locked else []
        command = [*_pip(), "install", *_QUIET, *_PURE, f"--python-version={PYTHON}", *hashes]
        command += [f"--target={made}", f"--requirement={file}"]
        # Paths in the file are relative to it.
        done = subprocess.run(command, cwd=file.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise ToolchainError(_explained(file, done.stderr))
        made.rename(kept)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return kept


def _digest(file: Path, locked: bool) -> str:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ToolchainError(f"cannot read {file}: {error.strerror}") from None
    return hashlib.sha256(f"{PYTHON} {locked} {file.parent}\0".encode() + text).hexdigest()[:32]


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    # Any will do: what it installs is for none.
    for name in ("pip", "pip3"):
        if found := shutil.which(name):
            return [found]
    raise ToolchainError("there is no pip here, which requirements need; `python -m ensurepip` installs it")


def _explained(file: Path, said: str) -> str:
    errors = [line.removeprefix("ERROR: ").strip() for line in said.splitlines() if line.strip()]
    text = "\n".join(line for line in errors if not line.lower().startswith(("warning", "[notice]")))
    if _NO_WHEEL in text:
        name = text.rpartition(_NO_WHEEL)[2].split("\n")[0].split(" ")[0]
        return f"{file}: {name} has no wheel for every platform; only pure Python fits into a filter. pip says:\n{text}"
    return f"{file}: pip cannot install it:\n{text}"
