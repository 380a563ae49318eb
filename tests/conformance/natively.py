"""Asks a native CPython about the tests that fail in a filter: it is of the tests' own release, so they pass there as they are.

What fails there too, if only one thing is made as it is in a filter, fails for that one thing.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

RUNNER = Path(__file__).with_name("native_runner.py")
LIMIT_SECONDS = 120.0

LIBRARY, COLUMNS, ALSO = "library", "columns", "natively"
"""Names of `kinds.REASONS`."""

_NO_COLUMNS = ["-X", "no_debug_ranges"]


def ask(python: Path, library: Path, standard: Path, tests: Sequence[str]) -> dict[str, str]:
    """Returns the names of the reasons that were found, by test.

    `library` is where the tests are, and `standard` the ZIP file with the standard library of the release in the module.
    """
    with tempfile.TemporaryDirectory(prefix="natively-") as work:
        older = Path(work, "library")
        with zipfile.ZipFile(standard) as file:
            file.extractall(older)
        plain = _passing(python, [library], tests, Path(work))
        found = {test: ALSO for test in tests if plain.get(test, False) is False}
        passing = [test for test in tests if plain.get(test)]
        for reason, options, paths in (
            (LIBRARY, [], [older, library]),
            (COLUMNS, _NO_COLUMNS, [library]),
        ):
            there = _passing(python, paths, passing, Path(work), options)
            found |= {test: reason for test in passing if there.get(test, False) is False and test not in found}
        return found


def _passing(
    python: Path, paths: Sequence[Path], tests: Sequence[str], work: Path, options: Sequence[str] = ()
) -> dict[str, bool | None]:
    """Returns which tests pass, None for those that cannot be found. If one ends the process, or has no end, none is there."""
    ids, out = work / "ids.json", work / "out.json"
    ids.write_text(json.dumps([*tests]))
    out.write_text("{}")
    environment = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    try:
        subprocess.run(
            [python, *options, RUNNER, ids, out],
            env=environment,
            cwd=work,
            capture_output=True,
            timeout=LIMIT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}
    made: dict[str, bool | None] = json.loads(out.read_text())
    return made
