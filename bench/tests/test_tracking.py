"""Connection tracking: the client waits for room in the kernel's table, and says what to do if there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.load import tracking


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tracking, "_DIRECTORY", tmp_path)
    (tmp_path / "nf_conntrack_max").write_text("1000\n")
    return tmp_path / "nf_conntrack_count"


def test_without_tracking_there_is_nothing_to_wait_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_DIRECTORY", tmp_path)
    assert tracking.entries() is None
    tracking.wait_for_room(10**9, 0)


def test_there_is_room(table: Path) -> None:
    table.write_text("10\n")
    assert tracking.entries() == (10, 1000)
    tracking.wait_for_room(100, 0)
    # More than ever fits: half of the table has to do.
    tracking.wait_for_room(10**6, 0)


def test_there_is_no_room(table: Path) -> None:
    table.write_text("700\n")
    with pytest.raises(tracking.TrackingError, match="nf_conntrack_max"):
        tracking.wait_for_room(100, 0)
