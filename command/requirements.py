"""The packages of a requirements file: pip installs them, for any platform, into the user's cache directory."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from toolchain.cpython.component import LIBPYTHON
from toolchain.tools import ToolchainError

PYTHON = LIBPYTHON.removeprefix("libpython").removesuffix(".so")
"""The version of Python that a filter runs, such as 3.14."""

_PURE = ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
_QUIET = ["--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"]
_NO_MATCH = re.compile(r"No matching distribution found for (?P<wish>(?P<name>[\w.-]+)[^(\n]*)")
_VERSIONS = re.compile(r"\(from versions: (?P<fitting>.*)\)$", re.MULTILINE)
_NOT_FETCHED = re.compile(r"Could not fetch URL (?P<url>\S+): (?P<why>.*) - skipping$", re.MULTILINE)
_SKIPPED = re.compile(r"Skipping link: (?P<why>.*?): (?P<url>\w+:/\S+)")
_NOT_FOUND = "404 "
_ERRNO = re.compile(r"\[Errno[^\]]*\] (?P<text>[^'\")]*)")


def installed(file: Path, cache: Path, locked: bool) -> Path:
    """Returns a directory with the packages, and nothing else; it is made if no build has made it before.

    If it is locked, each package needs a hash. Raises `ToolchainError` with what pip says.
    """
    kept = cache / "packages" / _digest(file, locked)
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=kept.parent))
    log = made.with_suffix(".log")
    try:
        hashes = ["--require-hashes"] if locked else []
        command = [*_pip(), "install", *_QUIET, *_PURE, f"--python-version={PYTHON}", *hashes]
        # pip says there alone which indexes it could not ask, and which files it did not take.
        command += [f"--log={log}"]
        command += [f"--target={made}", f"--requirement={file}"]
        # Paths in the file are relative to it.
        done = subprocess.run(command, cwd=file.parent, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise ToolchainError(f"{file}: {explained(done.stderr, _read(log))}")
        made.rename(kept)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        log.unlink(missing_ok=True)
    return kept


def explained(said: str, log: str) -> str:
    """Returns why pip failed, of what it said and of its log: a line, if it found no package that fits."""
    if "\nUnicodeDecodeError: " in said:
        return "it is not UTF-8 text, which pip reads; save it as UTF-8"
    errors = [line.removeprefix("ERROR: ").strip() for line in said.splitlines() if line.strip()]
    text = "\n".join(line for line in errors if not line.lower().startswith(("warning", "[notice]")))
    missing = _NO_MATCH.search(text)
    if not missing:
        return f"pip cannot install it:\n{text}"
    name, wish = missing["name"], missing["wish"].strip()
    if found := next((one for one in _NOT_FETCHED.finditer(log) if not one["why"].startswith(_NOT_FOUND)), None):
        reason = _ERRNO.search(found["why"])
        return (
            f"pip looked for {wish}, and the index {urlsplit(found['url']).hostname} did not answer: "
            f"{reason['text'] if reason else found['why']}; is there a network? PIP_INDEX_URL names another index"
        )
    fitting = _VERSIONS.search(text)
    if fitting and fitting["fitting"] != "none":
        newest = ", ".join(fitting["fitting"].split(", ")[-3:])
        return f"no version that fits into a filter is {wish}; the newest that fit: {newest}"
    if not _is_known(name, log):
        return f"pip found no package {name}; is the name right?"
    return f"{name} has no wheel for every platform; only pure Python fits into a filter"


def _is_known(name: str, log: str) -> bool:
    """Tells whether pip saw a file of a package; it took none of them."""
    from packaging.utils import canonicalize_name

    files = (unquote(urlsplit(one["url"]).path).rpartition("/")[2] for one in _SKIPPED.finditer(log))
    # A source's name may have hyphens of its own.
    begin = f"{canonicalize_name(name)}-"
    return any(canonicalize_name(file).startswith(begin) for file in files)


def _digest(file: Path, locked: bool) -> str:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ToolchainError(f"cannot read {file}: {error.strerror}") from None
    return hashlib.sha256(f"{PYTHON} {locked} {file.parent}\0".encode() + text).hexdigest()[:32]


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    # Any will do: what it installs is for none.
    for name in ("pip", "pip3"):
        if found := shutil.which(name):
            return [found]
    raise ToolchainError("there is no pip here, which requirements need; `python -m ensurepip` installs it")
