"""The lock files of third_party: which wheels and npm packages are used, each by version and hash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PIP = Path("third_party/pip")
NPM = Path("third_party/npm")
NIX = Path("third_party/nix.lock")

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+)(?P<hashes>(?:\s+--hash=sha256:[0-9a-f]{64})+)")


@dataclass(frozen=True)
class Package:
    """A locked package: every file of it that may be used has one of these hashes, each `algorithm:hexadecimal`."""

    name: str
    version: str
    hashes: tuple[str, ...]


def pip_groups(directory: Path) -> list[str]:
    """Returns the names of the groups of wheels, one for each lock file in the directory."""
    return sorted(path.stem for path in directory.glob("*.lock"))


def read_pip_lock(path: Path) -> list[Package]:
    """Returns the packages of a lock file for pip, or raises `ValueError` with the line that names no package."""
    packages = []
    for line in path.read_text().replace("\\\n", "").splitlines():
        found = _REQUIREMENT.fullmatch(line.strip())
        if found is None:
            raise ValueError(f"{path}: this is no NAME==VERSION with hashes: {line}")
        hashes = found["hashes"].replace("--hash=", "").split()
        packages.append(Package(found["name"], found["version"], tuple(hashes)))
    return packages


def write_pip_lock(path: Path, packages: Iterable[Package]) -> None:
    """Writes a lock file for pip."""
    lines = []
    for package in sorted(packages, key=lambda p: p.name):
        lines.append(f"{package.name}=={package.version}")
        lines += [f"    --hash={digest}" for digest in sorted(package.hashes)]
    path.write_text(re.sub(r"\n(?=    )", " \\\n", "\n".join(lines)) + "\n")


def read_npm_lock(path: Path) -> list[Package]:
    """Returns the packages of a package-lock.json."""
    packages = []
    for where, entry in json.loads(path.read_text())["packages"].items():
        if where:
            algorithm, _, encoded = entry["integrity"].partition("-")
            digest = f"{algorithm}:{base64.b64decode(encoded).hex()}"
            packages.append(Package(where.rpartition("node_modules/")[2], entry["version"], (digest,)))
    return packages


def digest(paths: Iterable[Path]) -> str:
    """Returns one sha256 for the contents of these files, in hexadecimal."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
