"""Tells which rules a value satisfies, by one binary search however many rules there are.

Each field has an axis of numbers or texts. A rule takes intervals of it, written as *boundaries*: a sorted list in which
the first begins an interval, the second is the first value behind it, and so on. The boundaries of all rules cut the axis
into pieces. Each piece has a set of rules: a number with a bit for each rule.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import compress
from operator import gt, lt

from filter.cidrs import IPV4_END, PackedCidrs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Boundaries = list[Any]

_number = int.from_bytes


class Side:
    """What a rule takes of one field: boundaries of its own, and lists that other rules may take too."""

    __slots__ = ("boundaries", "lists")

    def __init__(self, boundaries: Boundaries, lists: Sequence[Any] = ()) -> None:
        self.boundaries = boundaries
        self.lists = lists  # boundaries and packed lists; while the configuration is read, their names


class Index:
    """The pieces of a field's axis, and the rules that take each of them."""

    __slots__ = ("distinct", "keys", "packed", "sets")

    def __init__(self, sides: Sequence[tuple[int, Side]], rest: int, bits: int, axis: tuple[Any, Any]) -> None:
        """Takes each rule's bit with its side, the rules that do not name the field, how many bits rules have, and the axis."""
        taken = [(rule, side.boundaries) for rule, side in sides if side.boundaries]
        users: dict[int, int] = {}
        lists: list[Boundaries | PackedCidrs] = []
        for rule, side in sides:
            for shared in side.lists:
                if id(shared) not in users:
                    users[id(shared)] = 0
                    lists.append(shared)
                users[id(shared)] |= rule
        self.packed = [(shared, users[id(shared)]) for shared in lists if isinstance(shared, PackedCidrs)]
        # A list may overlap with a rule's own blocks and with other lists, so until the end it has a bit of its own.
        using: list[int] = []
        for shared in lists:
            if not isinstance(shared, PackedCidrs):
                taken.append((1 << bits + len(using), shared))
                using.append(users[id(shared)])
        self._lay_out(taken, rest, axis, _resolver(using, bits))

    def _lay_out(
        self,
        taken: list[tuple[int, Boundaries]],
        rest: int,
        axis: tuple[Any, Any],
        resolve: Callable[[int], int] | None,
    ) -> None:
        starts: list[Any] = []
        ends: list[Any] = []
        takers: list[int] = []
        for taker, boundaries in taken:
            starts += boundaries[::2]
            ends += boundaries[1::2]
            takers += [taker] * (len(boundaries) // 2)
        sorted_starts, sorted_ends = sorted(starts), sorted(ends)
        if any(map(gt, sorted_ends, sorted_starts[1:])):
            self._lay_out_overlapping(starts, ends, takers, rest, axis, resolve)
            return
        # Nothing overlaps: each piece has one taker or none.
        self.keys: list[Any] = [None] * (2 * len(starts))
        self.keys[::2], self.keys[1::2] = sorted_starts, sorted_ends
        rules = {taker: resolve(rest | taker) if resolve else rest | taker for taker, _ in taken}
        taker_from = dict(zip(starts, takers, strict=True))
        self.sets = [rest] * (2 * len(starts) + 1)
        self.sets[1::2] = map(rules.__getitem__, map(taker_from.__getitem__, sorted_starts))
        self.distinct = set(rules.values())
        if any(map(lt, [axis[0], *sorted_ends], [*sorted_starts, axis[1]])):
            self.distinct.add(rest)

    def _lay_out_overlapping(
        self,
        starts: list[Any],
        ends: list[Any],
        takers: list[int],
        rest: int,
        axis: tuple[Any, Any],
        resolve: Callable[[int], int] | None,
    ) -> None:
        keys = starts + ends
        takers = takers * 2
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self.keys = list(map(keys.__getitem__, order))
        # A taker's bit is set from where it begins to where it ends.
        here = rest
        self.sets = [rest, *[here := here ^ takers[place] for place in order]]
        if resolve:
            resolved = {rules: resolve(rules) for rules in set(self.sets)}
            self.sets = list(map(resolved.__getitem__, self.sets))
        # There may be no value between two keys, before the first one, and behind the last.
        self.distinct = set(compress(self.sets, map(lt, [axis[0], *self.keys], [*self.keys, axis[1]])))

    def at(self, value: Any) -> int:
        """Returns the rules that a value satisfies."""
        return self.sets[bisect_right(self.keys, value)]

    def at_address(self, address: bytes) -> int:
        """Returns the rules that a packed address satisfies."""
        number = _number(address)
        if len(address) > 4:
            number += IPV4_END
        rules = self.sets[bisect_right(self.keys, number)]
        if self.packed:
            for shared, users in self.packed:
                if shared.holds(address):
                    rules |= users
        return rules

    def all_sets(self) -> set[int]:
        """Returns every set of rules that a value can satisfy, and some smaller ones for what is in a packed list.

        A packed list is not looked into: an address in it may satisfy no more than what every address does.
        """
        if not self.packed:
            return self.distinct
        common = ~0
        for rules in self.distinct:
            common &= rules
        return self.distinct | {common | users for _, users in self.packed}


def _resolver(users: list[int], bits: int) -> Callable[[int], int] | None:
    """Returns what puts the rules that use a list in the place of the list's own bit; None if there are no lists."""
    every = (1 << bits) - 1
    tables = []  # for each eight lists, the users of each choice of them
    for first in range(0, len(users), 8):
        table = [0]
        for using in users[first : first + 8]:
            table += [rules | using for rules in table]
        tables.append(table)

    def resolve(rules: int) -> int:
        lists = rules >> bits
        rules &= every
        for table in tables:
            rules |= table[lists & len(table) - 1]
            lists >>= 8
        return rules

    return resolve if users else None
