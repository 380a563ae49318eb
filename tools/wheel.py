"""Writes the wheel of the SDK, `proxy_wasm`: the same bytes whatever the sources' times, permissions and order.

Usage: python3 -m tools.wheel OUT PYPROJECT
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from flit_core.wheel import make_wheel_in

PACKAGE = "proxy_wasm"
# The first moment that a zip file can hold.
_EPOCH = "315532800"


def write_wheel(pyproject: Path, out: Path) -> None:
    """Writes the wheel that `pyproject.toml` describes, or raises `ValueError` if it is called something else than `out`."""
    os.environ["SOURCE_DATE_EPOCH"] = _EPOCH
    with tempfile.TemporaryDirectory() as directory:
        # Without the symlinks of Bazel's sandbox, which flit takes for a way out of the project.
        copied = Path(directory, "project")
        shutil.copytree(pyproject.parent / PACKAGE, copied / PACKAGE, ignore=shutil.ignore_patterns("*.whl"))
        shutil.copy(pyproject, copied)
        made: Path = make_wheel_in(copied / pyproject.name, Path(directory)).file
        if made.name != out.name:
            raise ValueError(f"{pyproject} makes {made.name}, and the target's out is {out.name}")
        out.write_bytes(made.read_bytes())


if __name__ == "__main__":
    write_wheel(pyproject=Path(sys.argv[2]), out=Path(sys.argv[1]))
