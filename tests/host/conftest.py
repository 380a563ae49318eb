"""What the tests of built modules share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a directory for what wasmtime compiled: a module is compiled once for all VMs of a file."""
    return tmp_path_factory.mktemp("compiled")
