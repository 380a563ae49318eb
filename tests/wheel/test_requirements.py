"""Packages of a requirements file: pip installs them for any platform, and `--locked` refuses what has no hash."""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import pytest

from tests.wheel.conftest import Environment, append, edit

REQUIREMENTS = "--no-index\n--find-links wheels\n"


def a_wheel(directory: Path, name: str, tag: str = "py3-none-any", needs: str = "") -> str:
    """Writes a wheel with a module of its name, and returns its hash."""
    info = f"{name}-1.0.dist-info"
    path = directory / f"{name}-1.0-{tag}.whl"
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", f"NAME = {name!r}\n")
        requires = f"Requires-Dist: {needs}\n" if needs else ""
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def with_pip(environment: Environment) -> Environment:
    """The environment, with the pip that runs the tests: it has none of its own."""
    pip = environment.directory / "bin" / "pip"
    pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    pip.chmod(0o755)
    return environment


def test_packages_of_a_requirements_file(with_pip: Environment, hello: Path) -> None:
    hashes = {name: a_wheel(hello / "wheels", name, needs=needs) for name, needs in (("upper", "lower"), ("lower", ""))}
    edit("packages = []", 'requirements = "requirements.txt"')(hello)
    append("\nimport upper\n")(hello)
    requirements = hello / "requirements.txt"
    requirements.write_text(REQUIREMENTS + "upper\n")
    error = with_pip.fails("build", "--locked", cwd=hello)
    assert "requirements.txt: pip cannot install it" in error and "hash" in error.lower(), error
    wrong = {"upper": hashes["upper"], "lower": hashes["upper"]}
    for given in (wrong, hashes):
        lines = (f"{name}==1.0 --hash=sha256:{digest}\n" for name, digest in given.items())
        requirements.write_text(REQUIREMENTS + "".join(lines))
        if given is wrong:
            assert "lower" in with_pip.fails("build", "--locked", cwd=hello)
    with_pip.works("build", "--locked", "--record", "record.json", cwd=hello)
    record = json.loads((hello / "record.json").read_text())
    assert record["locked"] is True
    assert record["sha256"] == hashlib.sha256((hello / "build" / "hello.wasm").read_bytes()).hexdigest()
    assert [(one["name"], one["version"]) for one in record["packages"]] == [("lower", "1.0"), ("upper", "1.0")]
    assert all(len(one["sha256"]) == 64 for one in record["packages"])


def test_a_package_that_is_not_pure_is_refused_by_name(with_pip: Environment, hello: Path) -> None:
    a_wheel(hello / "wheels", "native", "cp314-cp314-manylinux2014_x86_64")
    edit("packages = []", 'requirements = "requirements.txt"')(hello)
    (hello / "requirements.txt").write_text(REQUIREMENTS + "native\n")
    error = with_pip.fails("check", cwd=hello)
    assert "requirements.txt: native has no wheel for every platform; only pure Python fits" in error


def test_what_happens_to_be_installed_is_not_locked(environment: Environment, hello: Path) -> None:
    edit("packages = []", 'packages = ["iniconfig"]')(hello)
    error = environment.fails("build", "--locked", cwd=hello)
    assert "packages = ['iniconfig'] takes what happens to be installed here" in error
    edit('packages = ["iniconfig"]', 'requirements = "nothing.txt"')(hello)
    assert "requirements: there is no file" in environment.fails("build", cwd=hello)
