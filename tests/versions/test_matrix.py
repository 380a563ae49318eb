"""With each version of Envoy the filter routes, and examples and requests do what docs/versions.md says."""

from __future__ import annotations

import os

import pytest

from tests.versions.runs import run, unusable
from tests.versions.table import RECORD, read

VERSION = os.environ["ENVOY_VERSION"]
RECORDED = read(RECORD.read_text())


@pytest.mark.parametrize("file", ["routing", "examples", "http", "awaiting_http"])
def test_what_runs_is_what_is_recorded(file: str) -> None:
    if VERSION in RECORDED.unusable:
        assert unusable(VERSION) == RECORDED.unusable[VERSION]
        return
    found = run(VERSION, file)
    recorded = RECORDED.versions[VERSION]
    assert found == {row: recorded[row] for row in found}


def test_the_version_has_a_column_or_a_reason() -> None:
    assert (VERSION in RECORDED.versions) != (VERSION in RECORDED.unusable)
