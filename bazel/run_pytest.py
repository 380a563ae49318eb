"""Runs pytest as a Bazel test: the report, the filter and the scratch directory are where Bazel says.

No test collected is pytest's exit status 5, and so a failure.
"""

from __future__ import annotations

import os
import sys

import pytest


def main() -> int:
    """Runs the test files named by the arguments and returns pytest's exit status."""
    scratch = os.environ["TEST_TMPDIR"]
    os.environ["HOME"] = scratch
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = os.path.join(scratch, "hypothesis")
    options = ["-p", "no:cacheprovider", "--config-file=pyproject.toml", f"--basetemp={scratch}/pytest"]
    if report := os.environ.get("XML_OUTPUT_FILE"):
        options.append(f"--junitxml={report}")
    if name := os.environ.get("TESTBRIDGE_TEST_ONLY"):
        options += ["-k", name]
    return pytest.main(options + sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
