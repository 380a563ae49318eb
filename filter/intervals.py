"""Intervals of an axis, as their first values and the values behind their last ones: two lists of the same length."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Intervals = tuple[Sequence[Any], Sequence[Any]]  # where they begin, where they end


def merged(others: Sequence[bool], some: Intervals, other: Intervals) -> Intervals:
    """Returns intervals of values of two kinds in the order of the values; `others` tells which are of the other kind."""
    order = sorted(range(len(others)), key=others.__getitem__)
    back = sorted(range(len(others)), key=order.__getitem__)
    starts, ends = [*some[0], *other[0]], [*some[1], *other[1]]
    return list(map(starts.__getitem__, back)), list(map(ends.__getitem__, back))
