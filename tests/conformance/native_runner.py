"""Runs tests of CPython's in a native CPython: `native_runner.py IDS OUT` reads their ids from a file and writes which pass, as JSON.

It stands alone: a native CPython has nothing of this repository on its path.
"""

from __future__ import annotations

import importlib
import json
import sys
import unittest
from pathlib import Path


def module_of(test: str) -> str:
    """Returns the module of a test's id: the longest part of it that can be imported."""
    parts = test.split(".")
    for size in range(len(parts) - 2, 1, -1):
        name = ".".join(parts[:size])
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        return name
    raise ModuleNotFoundError(test)


def passes(test: str) -> bool | None:
    """Tells whether a test passes, which one that is skipped does not; None for one that cannot be found."""
    try:
        module = module_of(test)
        cls, name = test[len(module) + 1 :].split(".")
        found = getattr(importlib.import_module(module), cls)(name)
    except (AttributeError, ModuleNotFoundError, ValueError):
        return None
    result = unittest.TestResult()
    try:
        unittest.TestSuite([found]).run(result)
    except (Exception, SystemExit):
        return False
    return result.wasSuccessful() and not result.skipped


def main() -> None:
    """Runs them one after the other."""
    support = importlib.import_module("test.support")
    support.use_resources = {}  # type: ignore[attr-defined]
    ids = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps({test: passes(test) for test in ids}))


if __name__ == "__main__":
    main()
