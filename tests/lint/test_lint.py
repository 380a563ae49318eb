"""Every source file is formatted, linted and typed, as pyproject.toml and buildifier's defaults say."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import mypy.api

# The files of this repository that Bazel put here; the wheels are reached by symlinks, which this does not follow.
FILES = sorted(
    os.path.relpath(os.path.join(directory, name))
    for directory, _, names in os.walk(".")
    for name in names
    if not os.path.relpath(directory).startswith("external")
)
PYTHON = [name for name in FILES if name.endswith((".py", ".pyi"))]
BAZEL = [name for name in FILES if name.endswith((".bzl", ".bazel"))]


def check(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, f"{' '.join(command[:5])} …\n{done.stdout}"


def ruff(*arguments: str) -> None:
    check([sys.executable, "-S", "-m", "ruff", *arguments, "--no-cache", "--config=pyproject.toml", *PYTHON])


def test_python_is_formatted() -> None:
    ruff("format", "--check", "--diff")


def test_python_has_no_lint() -> None:
    ruff("check")


def test_python_is_typed(tmp_path: Path) -> None:
    report, errors, status = mypy.api.run([f"--cache-dir={tmp_path}", "--config-file=pyproject.toml", *PYTHON])
    assert status == 0, report + errors


def test_what_authors_install_is_typed_for_the_oldest_python(tmp_path: Path) -> None:
    oldest = re.search(r'requires-python = ">=([\d.]+)"', Path("wheel/pyproject.toml").read_text(encoding="utf-8"))
    assert oldest is not None
    installed = [name for name in PYTHON if name.startswith(("command/", "oci/", "proxy_wasm/", "toolchain/"))]
    # These run in CPython's own VM.
    inside = ("toolchain/boot/", "toolchain/vm/imported.py", "toolchain/vm/named.py")
    programs = [name for name in installed if not name.startswith(inside)]
    arguments = [f"--cache-dir={tmp_path}", "--config-file=pyproject.toml", f"--python-version={oldest[1]}"]
    report, errors, status = mypy.api.run([*arguments, *programs])
    assert status == 0, report + errors


def test_bazel_files_are_formatted() -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    # With Bazel's modules the repository has a longer name.
    npm = next(Path("..").glob("*npm"))
    buildifier = npm / f"node_modules/@bazel/buildifier/buildifier-linux_{machine}"
    check([str(buildifier), "-mode=check", "-lint=warn", *BAZEL])


def test_pre_commit_runs_the_locked_ruff() -> None:
    hooks = Path(".pre-commit-config.yaml").read_text(encoding="utf-8")
    locked = re.search(r"^ruff==\S+", Path("third_party/pip/test.lock").read_text(encoding="utf-8"), re.MULTILINE)
    assert locked is not None
    assert set(re.findall(r"ruff==[^\]]+", hooks)) == {locked[0]}
