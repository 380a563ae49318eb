"""A short run of each fuzzer from the committed corpus, the same every time; the long ones are `./bazelw run //tests/fuzz`."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from filter.policy import FIELDS
from proxy_wasm._maps import parse
from tests.fuzz.__main__ import CORPUS, TARGETS

RUNS = {"configuration": 20_000, "header_map": 50_000, "host_calls": 2_000}


@pytest.mark.parametrize("target", TARGETS)
def test_the_corpus_passes(target: str, record_property: Callable[[str, object], None]) -> None:
    check = importlib.import_module(f"tests.fuzz.{target}").check
    inputs = sorted((CORPUS / target).iterdir())
    assert inputs
    for path in inputs:
        check(path.read_bytes())
    record_property("inputs", len(inputs))


def test_the_dictionary_has_every_field() -> None:
    words = (CORPUS / "configuration.dict").read_text(encoding="utf-8").splitlines()
    assert [name for name in FIELDS if rf'"\"{name}\""' not in words] == []


@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run(target: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    pytest.importorskip("atheris", reason="it has wheels for x86_64, and Python 3.11 to 3.13, only")
    command = [sys.executable, "-S", "-m", "tests.fuzz", target, f"-runs={RUNS[target]}", "-seed=1"]
    done = subprocess.run([*command, f"-artifact_prefix={tmp_path}/"], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    finished = re.search(rf"Done {RUNS[target]} runs", done.stderr)
    coverage = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    assert finished and coverage, done.stderr[-5000:]
    record_property("inputs tried", f"{RUNS[target]:,}")
    record_property("coverage", f"{coverage[-1][0]} edges")
    record_property("failed", 0)


def test_a_fuzzer_finds_what_is_wrong(tmp_path: Path) -> None:
    """A target that cannot fail would prove nothing: a parser with a flaw is found out."""
    pytest.importorskip("atheris", reason="it has wheels for x86_64, and Python 3.11 to 3.13, only")
    flawed = (
        "import sys, tests.fuzz.header_map as target\n"
        "target.parse = lambda data, read=target.parse: [(key[:2], value) for key, value in read(data)]\n"
        "import tests.fuzz.__main__ as fuzz\n"
        f"sys.argv = ['fuzz', 'header_map', '-runs=100000', '-seed=1', '-artifact_prefix={tmp_path}/']\n"
        "fuzz.main()\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", flawed], stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0
    (crash,) = tmp_path.iterdir()
    assert any(len(key) > 2 for key, _ in parse(crash.read_bytes()))
