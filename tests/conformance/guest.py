"""Runs CPython's own tests in the VM: each configuration is a command, and each line of the log that begins with a tab an answer.

- `{"version": ""}` is answered with CPython's version,
- `{"classes": MODULE}` with a line for each class of tests in a module, as CPython's own runner loads them, or why it is not there,
- `{"run": MODULE, "class": CLASS, "without": [ID]}` with a line when a test begins, and one with what it came to,
- `{"plan": [[MODULE, CLASS, [ID]]]}` with the same for several classes, one after the other, each in a tick, with a line before
  each of them and one at the end.
"""

from __future__ import annotations

import builtins
import importlib
import json
import logging
import os
import platform
import sys
import unittest
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType
from typing import Any

import proxy_wasm
from tests.conformance.kinds import WRONG_MEMORY
from tests.conformance.loading import Tests, load

_frozen_importlib: Any = importlib.import_module("_frozen_importlib")
# Written when this is built.
NAMES: list[str] = importlib.import_module("conformance_modules").NAMES
_MESSAGE = 300
_IN_A_LINE = str.maketrans("\t\n\r", "   ")

_FIRST_TICK_MILLISECONDS = 5000
"""Until then Envoy's main thread, which a class of tests holds for minutes, tells that it is ready."""

Error = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

NO_FILE = "/test/no_file.py"


def with_file(module_from_spec: Callable[[ModuleSpec], ModuleType]) -> Callable[[ModuleSpec], ModuleType]:
    """Returns a function that makes modules of tests with a file, which is not there."""

    def made(spec: ModuleSpec) -> ModuleType:
        module = module_from_spec(spec)
        if spec.name.partition(".")[0] == "test":
            module.__file__ = NO_FILE
        return module

    return made


loaded: dict[str, Tests] = {}
absent: dict[str, str] = {}


def _load(name: str) -> None:
    try:
        loaded[name] = load(importlib.import_module(name))
    except unittest.SkipTest as reason:
        absent[name] = f"skipped: {reason}"
    except BaseException as error:
        absent[name] = f"failed: {type(error).__name__}: {error}"


def say(*words: str) -> None:
    """Logs an answer; of text that UTF-8 does not have the escapes."""
    cut = (word.translate(_IN_A_LINE)[:_MESSAGE] for word in words)
    proxy_wasm.info(("\t" + "\t".join(cut)).encode("utf-8", "backslashreplace"))


def _summary(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"


def log_to_nobody() -> None:
    """Makes the root logger what it is where no host takes what is logged, as tests expect."""
    root = logging.getLogger()
    root.handlers.clear()
    root.setLevel(logging.WARNING)


class Result(unittest.TestResult):
    """Tells what each test came to. A test whose subtest fails has failed."""

    def __init__(self) -> None:
        super().__init__()
        self._outcome = "passed", ""

    def startTest(self, test: unittest.TestCase) -> None:
        """Says that a test begins, since it may end the VM."""
        super().startTest(test)
        log_to_nobody()
        self._outcome = "passed", ""
        say("begins", test.id())

    def stopTest(self, test: unittest.TestCase) -> None:
        """Says what came of it."""
        super().stopTest(test)
        say("ended", test.id(), *self._outcome)

    def _note(self, test: object, outcome: str, message: str) -> None:
        if isinstance(test, unittest.TestCase):
            self._outcome = outcome, message
        else:  # what stands for a class or module that cannot be set up
            say("ended", str(test), outcome, message)

    def addError(self, test: unittest.TestCase, err: Error) -> None:
        """Notes an error."""
        self._note(test, "failed", _summary(err[1]))

    def addFailure(self, test: unittest.TestCase, err: Error) -> None:
        """Notes a failure."""
        self._note(test, "failed", _summary(err[1]))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Error | None) -> None:
        """Notes a subtest that failed."""
        if err is not None:
            self._note(test, "failed", _summary(err[1]))

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        """Notes why a test was skipped."""
        self._note(test, "skipped", reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        """Notes that a test passed of which nobody expected it."""
        self._note(test, "failed", "an unexpected success")


def run(tests: list[unittest.TestCase], without: list[str]) -> None:
    """Runs the tests of a class but for some, and but for those that spoil the memory of a VM."""
    for test in tests:
        if WRONG_MEMORY.search(test.id()):
            say("ended", test.id(), "left out", "it reads or writes wrong memory")
    kept = (test for test in tests if test.id() not in without and not WRONG_MEMORY.search(test.id()))
    unittest.TestSuite(kept).run(Result())


class Root(proxy_wasm.RootContext):
    """Takes commands."""

    plan: list[tuple[str, str, list[str]]]

    def on_configure(self, configuration: bytes) -> bool:
        """Does what the configuration says."""
        if not configuration:
            return True
        command = json.loads(configuration)
        if "version" in command:
            say("version", platform.python_version())
            return True
        if "plan" in command:
            self.plan = command["plan"]
            proxy_wasm.set_tick_period(_FIRST_TICK_MILLISECONDS)
            return True
        name = command.get("classes") or command["run"]
        if name in absent:
            say("absent", absent[name])
        elif "classes" in command:
            for found in loaded[name]:
                say("class", found)
        else:
            run(loaded[name][command["class"]], command["without"])
        return True

    def on_tick(self) -> None:
        """Runs the next class of the plan."""
        if self.plan:
            proxy_wasm.set_tick_period(1)
            name, cls, without = self.plan.pop(0)
            say("at", name, cls)
            run(loaded[name][cls], without)
        else:
            proxy_wasm.set_tick_period(0)
            say("over")


# Modules have no file here, and CPython's tests look for their neighbours when they are imported.
builtins.__file__ = NO_FILE
_frozen_importlib.module_from_spec = with_file(_frozen_importlib.module_from_spec)

# What tests look for, some of them while they are loaded, and nobody set.
sys.argv = ["test"]

# As where CPython's own runner has no tests of networks, of much memory or of long computations.
support: Any = importlib.import_module("test.support")
support.use_resources = {}
support.max_memuse = support.real_max_memuse = 0
for name in NAMES:
    _load(name)
os.environ.clear()

proxy_wasm.register(Root)
