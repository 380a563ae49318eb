"""Tells which rule can never match, because the rules before it take all of its connections.

Each field of the policy has sets of rules, one for each piece of its axis. A connection satisfies one set of each field, and
the rules in all of them match it. Take one set of each field: if they have a rule in common and no rule before it, that rule
is reachable. The fields count as independent, so a rule is never called unreachable wrongly.

Most rules need no search: the first rule of a set is reachable by what is in that set alone. So rules that are apart in one field are
known at once.
"""

from __future__ import annotations

from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    Interval = tuple[Any, Any]  # of numbers, or of strings

# How many sets may be looked at before the search ends and takes the rest for reachable: some milliseconds in a VM.
WORK = 20_000
_FEW = 4


def first_overlap(intervals: Sequence[Interval]) -> tuple[int, int] | None:
    """Returns the places of an interval and of another that has a part of it, all if possible; None if all are apart."""
    order = sorted(range(len(intervals)), key=intervals.__getitem__)
    for i, j in pairwise(order):
        if intervals[j][0] < intervals[i][1]:
            return (j, i) if intervals[j][1] <= intervals[i][1] else (i, j)
    return None


def first_unreachable(fields: Sequence[Collection[int]], count: int) -> tuple[int, int | None] | None:
    """Returns the place of a rule that can never match, and of the one before it that takes all if a single one does.

    Each field is its sets of rules. The first of `count` rules has the bit `1 << count`, the last has 2.
    """
    every = (2 << count) - 1
    fields = fields or [[every]]
    reached: set[int] = set()
    for sets in fields:
        reached.update(map(int.bit_length, sets))
    unknown = [length for length in range(count + 1, 1, -1) if length not in reached]
    smallest = [_smallest(sets, unknown) for sets in fields]
    work = WORK
    for length in unknown:
        rule = 1 << length - 1
        left = before = every & -(rule << 1)
        for found in smallest:
            left &= found[length]
        if not left:
            continue
        work -= sum(map(len, fields))
        if work < 0:
            return None
        choices = [set(map(before.__and__, filter(rule.__and__, sets))) for sets in fields]
        taking = before
        for sets in choices:
            for rules in sets:
                taking &= rules
        if taking:
            return count + 1 - length, count + 1 - taking.bit_length()
        work = _search(before, choices, work)
        if not work:
            return count + 1 - length, None
    return None


def _smallest(sets: Collection[int], lengths: Sequence[int]) -> dict[int, int]:
    """Returns for each of these rules, named by the length of its bit, the smallest set that has it."""
    wanted = 0
    for length in lengths:
        wanted |= 1 << length - 1
    found: dict[int, int] = {}
    for rules in sorted(sets, key=int.bit_count) if wanted else ():
        new = rules & wanted
        wanted ^= new
        while new:
            found[new.bit_length()] = rules
            new ^= 1 << new.bit_length() - 1
    return found


def _search(before: int, choices: Sequence[set[int]], work: int) -> int:
    """Returns 0 if each choice of sets has a rule before this one in common, or else the work that is left."""
    choices = sorted(choices, key=len)
    # At first only the most promising choices are followed, which nearly always finds one if there is one.
    for most in (_FEW, work):
        left = {before}
        for sets in choices:
            work -= len(left) * len(sets)
            if work <= 0:
                return -1
            left = {common & rules for common in left for rules in sets}
            if 0 in left:
                return work
            if len(left) > most:
                left = set(sorted(left, key=int.bit_count)[:most])
    return 0
