"""Tells which rule can never match, because the rules before it take all of its connections.

A rule is a box with a side for each thing that it can look at: parity, percentage, port, server name, source address. A
side is a sorted list of half-open intervals. From a rule's box the boxes before it are cut away, piece by piece; where
nothing is left the rule is unreachable. The sides count as independent, so a rule is never called unreachable wrongly.
"""

from __future__ import annotations

from itertools import pairwise

from filter.policy import POSITIONS, Match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Interval = tuple[Any, Any]  # of numbers, or of strings
    Box = tuple[list[Interval], ...]

# How many intervals may be looked at before the search ends and takes the rest for reachable: about a second in a VM.
WORK = 500_000

_IPV4_END = 1 << 32  # IPv6 addresses come behind it
_LAST_CHARACTER = "\U0010ffff"


def block_interval(cidr: tuple[bytes, int]) -> Interval:
    """Returns the interval of a block of addresses."""
    address, length = cidr
    start = int.from_bytes(address, "big") + (0 if len(address) == 4 else _IPV4_END)
    return start, start + (1 << 8 * len(address) - length)


def port_interval(port: int) -> Interval:
    """Returns the interval of a port."""
    return port, port + 1


def name_interval(name: str) -> Interval:
    """Returns the interval of a server name or a wildcard, among the names written backwards."""
    backwards = name[::-1]
    # "*.example.com" is whatever begins with "moc.elpmaxe.", and "/" is the character after ".".
    return (backwards[:-1], backwards[:-2] + "/") if name[0] == "*" else (backwards, backwards + "\0")


def first_overlap(intervals: Sequence[Interval]) -> tuple[int, int] | None:
    """Returns the places of an interval and of another that it lies within; None where all are apart.

    Intervals of one kind that are not apart lie within one another: blocks, ports and names cannot half overlap.
    """
    order = sorted(range(len(intervals)), key=intervals.__getitem__)
    for i, j in pairwise(order):
        if intervals[j][0] < intervals[i][1]:
            return (j, i) if intervals[j][1] <= intervals[i][1] else (i, j)
    return None


def first_unreachable(matches: Sequence[Match]) -> tuple[int, int | None] | None:
    """Returns the place of a rule that can never match, and of the one before it that takes all if a single one does."""
    search = _Search()
    boxes = [_box(match) for match in matches]
    try:
        for place, box in enumerate(boxes):
            if not search.is_left(box, boxes[:place]):
                alone = (before for before in range(place) if not search.is_left(box, [boxes[before]]))
                return place, next(alone, None)
    except _EnoughError:
        pass
    return None


def _box(match: Match) -> Box:
    parity, percentage = match.parity, match.percentage
    return (
        [(0, 2) if parity is None else (parity, parity + 1)],
        [(0, POSITIONS if percentage is None else percentage)],
        [(0, 1 << 16)] if match.ports is None else sorted(map(port_interval, match.ports)),
        [("", _LAST_CHARACTER)] if match.names is None else sorted(map(name_interval, match.names)),
        [(0, _IPV4_END + (1 << 128))] if match.cidrs is None else sorted(map(block_interval, match.cidrs)),
    )


class _EnoughError(Exception):
    """The search has taken long enough."""


class _Search:
    def __init__(self) -> None:
        self.work = WORK

    def is_left(self, box: Box, others: Sequence[Box]) -> bool:
        """Tells whether anything of a box is outside of all the others."""
        pieces = [box]
        for other in others:
            pieces = [left for piece in pieces for left in self.cut(piece, other)]
        return bool(pieces)

    def cut(self, piece: Box, other: Box) -> list[Box]:
        """Returns what of a piece is outside of a box: at most one piece for each side."""
        left, rest = [], piece
        for side, (mine, others) in enumerate(zip(piece, other, strict=True)):
            inside, outside = self.split(mine, others)
            if not inside:
                return [piece]
            if outside:
                left.append((*rest[:side], outside, *rest[side + 1 :]))
            rest = (*rest[:side], inside, *rest[side + 1 :])
        return left

    def split(self, mine: list[Interval], others: list[Interval]) -> tuple[list[Interval], list[Interval]]:
        """Returns what of these intervals is inside of the others, and what is outside."""
        self.work -= 1
        if others[0][0] <= mine[0][0] and mine[-1][1] <= others[0][1]:
            return mine, []
        self.work -= len(mine) + len(others)
        if self.work < 0:
            raise _EnoughError
        inside: list[Interval] = []
        outside: list[Interval] = []
        at = 0
        for start, end in mine:
            while at < len(others) and others[at][1] <= start:
                at += 1
            while at < len(others) and others[at][0] < end:
                low, high = max(start, others[at][0]), min(end, others[at][1])
                if start < low:
                    outside.append((start, low))
                inside.append((low, high))
                start = high
                if others[at][1] > end:
                    break  # it reaches into the next one too
                at += 1
            if start < end:
                outside.append((start, end))
        return inside, outside
