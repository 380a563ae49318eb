"""What was built here has the digests that are committed, wherever here is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reproducible.digests import BUILT, UPDATE, committed, digest


@pytest.mark.parametrize("built", BUILT, ids=str)
def test_the_digest_is_the_committed_one(built: Path) -> None:
    expected = committed(built).read_text().split()[0]
    found = digest(built)
    assert found == expected, f"{built} is {found}, and {expected} is committed; if the change is meant: {UPDATE}"
