"""Some thousand requests on each path through a filter leave nothing behind: `./bazelw run //tests/load:requests` is the long one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.load import requests

REQUESTS = 600


@pytest.mark.skipif(not requests.available(), reason=f"{requests.CLIENT} is not installed")
def test_nothing_is_left_of_a_request(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    found = requests.run(tmp_path, REQUESTS)
    print("\n".join(requests.table(found)))
    assert requests.complaints(found) == []
    assert [came.path for came in found] == list(requests.PATHS)
    record_property("requests", len(found) * REQUESTS)


def test_what_is_left_is_told() -> None:
    before = requests.Held(1000, 1, 0, 0, 1 << 20, 1 << 20, 1 << 20)
    after = requests.Held(1000 + requests.OBJECTS + 1, 3, 1, 0, 2 << 20, 2 << 20, 2 << 20)
    wrong = requests.complaints(
        [requests.Came("awaits", 10, 2, before, after), requests.Came("late", 1, 0, after, after, 3)]
    )
    assert "late: 3 connections were closed before the time of their calls was over" in wrong
    assert "awaits: 2 requests had a wrong answer" in wrong
    assert "awaits: 1000 objects became 1201" in wrong
    assert "awaits: contexts, calls that are waited for, and callers are left: (2, 1, 0)" in wrong
    grown = requests.complaints([requests.Came("late", 1, 0, one, one) for one in (before, after)])
    assert grown[-1] == "memory in use grew, from 1048576 to 2097152 bytes"
