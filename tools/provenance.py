"""Writes where the modules and the wheel come from: an in-toto statement with a SLSA v1 provenance predicate.

Usage: python3 -m tools.provenance OUT SUBJECT... -- SOURCE...

Subjects and sources are named by their path in the repository and known by their sha256. Nothing of this machine, this user or
today is in it: anyone who builds the same sources gets the same statement.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.locks import NPM, PIP, Package, read_npm_lock, read_pip_lock

TARGETS = ["//filter:wasm", "//toolchain:runtime", "//:wheel"]
# The groups of wheels that the modules and the wheel are built with.
GROUPS = ("build", "hatch", "node", "protoc", "zig")


def _file(path: Path, name: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}


def _package(kind: str, package: Package) -> dict[str, Any]:
    # One hash for each machine and Python: which one was used, the lock leaves open, and the result is the same.
    uri = f"pkg:{kind}/{package.name.replace('@', '%40')}@{package.version}"
    return {"uri": uri, "annotations": {"anyOf": sorted(package.hashes)}}


def statement(subjects: dict[str, Path], sources: Iterable[Path]) -> dict[str, Any]:
    """Returns the statement on these subjects, by name, made of these sources."""
    packages = [_package("pypi", p) for group in GROUPS for p in read_pip_lock(PIP / f"{group}.lock")]
    packages += [_package("npm", p) for p in read_npm_lock(NPM / "package-lock.json")]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [_file(path, name) for name, path in sorted(subjects.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:proxy-wasm-python:bazel:v1",
                "externalParameters": {"command": ["./bazelw", "build", *TARGETS]},
                "resolvedDependencies": [_file(path, str(path)) for path in sorted(sources)] + packages,
            },
            "runDetails": {"builder": {"id": "urn:proxy-wasm-python:bazelw"}},
        },
    }


def main() -> None:
    """Writes the statement that the command line names."""
    out, *rest = sys.argv[1:]
    separator = rest.index("--")
    # Bazel builds below a directory of its own, whose name differs from machine to machine.
    subjects = {"/".join(Path(path).parts[-2:]): Path(path) for path in rest[:separator]}
    made = statement(subjects, [Path(path) for path in rest[separator + 1 :]])
    Path(out).write_text(json.dumps(made, indent=2) + "\n")


if __name__ == "__main__":
    main()
