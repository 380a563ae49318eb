"""Loads the tests of a module as CPython's own runner does."""

from __future__ import annotations

import unittest
from types import ModuleType
from typing import Any

Tests = dict[str, list[unittest.TestCase]]
"""Tests, by their class."""


class _Loader(unittest.TestLoader):
    """Loads tests as CPython's own runner does, but a package without its modules: these are asked one by one."""

    def discover(self, *_arguments: Any, **_options: Any) -> unittest.TestSuite:
        return unittest.TestSuite()


def load(module: ModuleType) -> Tests:
    """Returns the tests of a module. If its `load_tests` fails, that is a failing test, and its classes are asked as they are."""
    loader = _Loader()
    tests = flat(loader.loadTestsFromModule(module))
    if loader.errors:
        for test in tests:
            setattr(test, "id", lambda: f"{module.__name__}.load_tests")  # noqa: B010
        del module.load_tests
        tests += flat(loader.loadTestsFromModule(module))
    found: Tests = {}
    for test in tests:
        cls = type(test)
        within = "" if cls.__module__ == module.__name__ else f"{cls.__module__}."
        found.setdefault(within + cls.__qualname__, []).append(test)
    return found


def flat(tests: unittest.TestSuite) -> list[unittest.TestCase]:
    """Returns the tests of a suite, and of the suites in it."""
    return [test for one in tests for test in (flat(one) if isinstance(one, unittest.TestSuite) else [one])]
