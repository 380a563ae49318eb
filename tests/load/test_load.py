"""A short soak, for every day: `./bazelw run //tests/load:soak` is the long one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.load import report, soak

CONNECTIONS = 20_000
CONCURRENT = 2_000


def test_nothing_is_lost_and_memory_is_flat(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    result = soak.run(tmp_path, CONNECTIONS, CONCURRENT)
    print("\n".join(report.curve(result)))
    assert soak.complaints(result) == []
    assert result.in_a_row == CONNECTIONS
    assert result.held == CONCURRENT
    # Resets in the handshake and half-open connections take a privilege; the others anyone can make.
    assert len(result.odd) >= 7
    assert min(result.odd.values()) > 0
    assert result.contexts_created > CONNECTIONS + CONCURRENT
    for name, value in report.table(result).items():
        record_property(name, value)
