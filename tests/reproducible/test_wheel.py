"""The SDK's wheel is a function of the sources' contents, and can be imported."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.wheel import write_wheel

WHEEL = next(Path("proxy_wasm").glob("*.whl"))


def a_copy(directory: Path, seed: int) -> Path:
    """Copies what the wheel is made of, in another order, with other times and permissions."""
    files = [
        path for path in Path("proxy_wasm").rglob("*") if path.is_file() and path.suffix in (".py", ".toml", ".md")
    ]
    random.Random(seed).shuffle(files)
    for path in [*files, Path("pyproject.toml")]:
        copied = directory / path
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
        copied.chmod(0o600 if seed % 2 else 0o664)
        os.utime(copied, (1_000_000_000 * seed, 1_000_000_000 * seed))
    return directory / "pyproject.toml"


@pytest.mark.parametrize("seed", [1, 2])
def test_times_permissions_and_order_do_not_count(seed: int, tmp_path: Path) -> None:
    rebuilt = tmp_path / WHEEL.name
    write_wheel(a_copy(tmp_path / "copy", seed), rebuilt)
    assert rebuilt.read_bytes() == WHEEL.read_bytes()


def test_another_version_has_another_name(tmp_path: Path) -> None:
    pyproject = a_copy(tmp_path, 1)
    pyproject.write_text(pyproject.read_text().replace('version = "0.1.0"', 'version = "0.2.0"'))
    with pytest.raises(ValueError, match=r"makes proxy_wasm_python-0\.2\.0-py3-none-any\.whl"):
        write_wheel(pyproject, tmp_path / WHEEL.name)


def test_the_wheel_is_imported_without_this_repository(tmp_path: Path) -> None:
    with zipfile.ZipFile(WHEEL) as archive:
        archive.extractall(tmp_path)
    program = "import proxy_wasm, sys; from proxy_wasm.testing.inprocess import InProcess; print(proxy_wasm.__file__)"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith(str(tmp_path))
