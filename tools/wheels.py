"""Wheels for a machine and a Python that need not be this one's: `python3 -m tools.wheels MACHINE PYTHON LOCK DIRECTORY`.

It downloads what a lock file of `third_party/pip` pins. pip looks where it is configured to.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# Debian 12's, the oldest that is supported.
_GLIBC = 36


def run(command: Iterable[object], directory: Path) -> None:
    """Runs a program in a directory, silently; exits with what it said if it fails."""
    # The machine's own pip, which needs the site-packages that Bazel's programs do without.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([str(c) for c in command], cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}{done.stderr}error: {' '.join(map(str, command))} failed ({done.returncode})")


def pip(command: str, machine: str, python: str, *arguments: object, work: Path) -> None:
    """Runs a command of pip, in the directory `work`, as if on that machine with that version of Python."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)]
    tags += [f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux")]
    platforms = [word for tag in tags for word in ("--platform", tag)]
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:", "--implementation=cp"]
    run([sys.executable, "-m", "pip", command, *options, f"--python-version={python}", *platforms, *arguments], work)


def download(lock: Path, wheels: Path, machine: str, python: str) -> None:
    """Downloads what a lock file pins into a directory; exits if a hash is not the locked one."""
    options = ["--require-hashes", "--no-deps", f"--requirement={lock.absolute()}", f"--dest={wheels.absolute()}"]
    pip("download", machine, python, *options, work=lock.parent)


if __name__ == "__main__":
    download(Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[1], sys.argv[2])
