"""What is said when pip finds nothing that fits: whether the index is away, the name is wrong, the version, or the platform."""

from __future__ import annotations

import http.server
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from command import requirements
from toolchain.tools import ToolchainError


class _Index(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An index with a package of machine code."""
    root = tmp_path_factory.mktemp("index")
    page = root / "simple" / "na-tive" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text('<!DOCTYPE html><a href="na_tive-1.0-cp314-cp314-win32.whl">a wheel</a>')
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Index, directory=str(root))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ("na.tive", "na.tive has no wheel for every platform; only pure Python fits into a filter"),
        ("natve[extra]", "pip found no package natve; is the name right?"),
    ],
)
def test_what_an_index_has_not_is_told_apart(
    index: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wish: str, text: str
) -> None:
    assert _refusal(index, wish, tmp_path, monkeypatch) == text


def test_an_index_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = _refusal("http://127.0.0.1:1/simple", "six", tmp_path, monkeypatch)
    assert said == (
        "pip looked for six, and the index 127.0.0.1 did not answer: Connection refused; is there a network? "
        "PIP_INDEX_URL names another index"
    )


def test_a_version_that_there_is_not_comes_with_those_that_fit() -> None:
    said = """ERROR: Could not find a version that satisfies the requirement six==9 (from versions: 1.1, 1.2, 1.3, 1.4)
ERROR: No matching distribution found for six==9
"""
    assert requirements.explained(said, "") == (
        "no version that fits into a filter is six==9; the newest that fit: 1.2, 1.3, 1.4"
    )


def _refusal(index: str, wish: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns what is said of a requirement, without the file's name."""
    # The machine's own pip, which is not on Bazel's path.
    program = directory / "bin" / "pip"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    for name, value in (("PIP_CONFIG_FILE", "/dev/null"), ("PIP_RETRIES", "0"), ("PATH", path)):
        monkeypatch.setenv(name, value)
    file = directory / "requirements.txt"
    file.write_text(f"--index-url {index}\n{wish}\n")
    with pytest.raises(ToolchainError) as refused:
        requirements.installed(file, directory / "cache", locked=False)
    assert list((directory / "cache" / "packages").iterdir()) == []
    where, _, text = str(refused.value).partition(": ")
    assert where == str(file)
    return text
