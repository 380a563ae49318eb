"""Runs pytest as a Bazel test: the report, the filter and the scratch directory are where Bazel says.

No test collected is pytest's exit status 5, and so a failure. What tests counted (`record_property`) is printed as a table at the end.
"""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest


class Patience:
    """On a busy machine an example of Hypothesis may take any time."""

    def pytest_configure(self) -> None:
        """Sets no deadline."""
        if importlib.util.find_spec("hypothesis"):
            from hypothesis import settings

            settings.register_profile("no deadline", deadline=None)
            settings.load_profile("no deadline")


class Numbers:
    """The table: a line for each test that passed and counted something."""

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints the table."""
        rows = [
            (report.nodeid.rpartition("/")[2], " · ".join(f"{name} {value}" for name, value in report.user_properties))
            for report in terminalreporter.getreports("passed")
            if report.when == "call" and report.user_properties
        ]
        if rows:
            terminalreporter.section("numbers")
            width = max(len(name) for name, _ in rows)
            for name, numbers in rows:
                terminalreporter.line(f"{name:{width}}  {numbers}")


def main() -> int:
    """Runs pytest with these arguments, its configuration and the test files, and returns pytest's exit status."""
    scratch = os.environ["TEST_TMPDIR"]
    os.environ["HOME"] = scratch
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = os.path.join(scratch, "hypothesis")
    options = ["-p", "no:cacheprovider", f"--basetemp={scratch}/pytest"]
    if report := os.environ.get("XML_OUTPUT_FILE"):
        options.append(f"--junitxml={report}")
    if name := os.environ.get("TESTBRIDGE_TEST_ONLY"):
        options += ["-k", name]
    return pytest.main(options + sys.argv[1:], plugins=[Numbers(), Patience()])


if __name__ == "__main__":
    sys.exit(main())
