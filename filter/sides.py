"""From the lists that rules write to what they take of a field: the lists of all rules at once.

While the rules are read, a list of values is only kept. Then a field's lists are read together, hundreds of values at a time, by
functions of C that take what is written in the usual way. If these do not take them, each list is read by itself, and at last each
value, which is refused if it is wrong.
"""

from __future__ import annotations

from itertools import chain, compress
from operator import gt

from filter import reachability
from filter.index import Side
from filter.readers import check_list, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from filter.intervals import Intervals
    from filter.readers import Reader

    ReadMany = Callable[[Sequence[Any]], Intervals | None]

LIST = "list:"  # before the name of a shared list, among values
_AT_ONCE = 512  # values: one that is wrong costs a slow look at so many


class Written:
    """The values of a list, and where they stand: the list's path, and a place in it for each of them."""

    __slots__ = ("path", "places", "shared", "values")

    def __init__(self, values: list[Any], path: str, places: Sequence[int], shared: Sequence[tuple[str, str]]) -> None:
        self.values = values
        self.path = path
        self.places = places
        self.shared = shared  # names of shared lists that stood among the values, with their paths


def written(value: Any, path: str) -> Written:
    """Reads a list, and none of its values yet."""
    check_list(value, path)
    return Written(value, path, range(len(value)), ())


def written_with_names(value: Any, path: str) -> Written:
    """Reads a list in which names of shared lists may stand, and no other of its values yet."""
    check_list(value, path)
    named = [isinstance(item, str) and item.startswith(LIST) for item in value]
    if True not in named:
        return Written(value, path, range(len(value)), ())
    shared = [(value[place].removeprefix(LIST), f"{path}[{place}]") for place in compress(range(len(value)), named)]
    places = [place for place, is_name in enumerate(named) if not is_name]
    return Written([value[place] for place in places], path, places, shared)


def read_sides(lists: Sequence[Written], read: Reader, read_many: ReadMany) -> list[Side]:
    """Returns for each list what it takes of the field; none of its values may lie within another.

    `read` takes a value and its path, and returns an interval. `read_many` is quick, and returns the intervals in the order of the
    values, or None if one of the values is wrong or unusual.
    """
    sides = []
    for group in _groups(lists):
        many = read_many([*chain.from_iterable([each.values for each in group])]) if len(group) > 1 else None
        if many is None:
            sides += [_read_alone(each, read, read_many) for each in group]
            continue
        starts, ends = many
        first = 0
        for each in group:
            behind = first + len(each.values)
            sides.append(_side(each, starts[first:behind], ends[first:behind], read))
            first = behind
    return sides


def _groups(lists: Sequence[Written]) -> Iterator[list[Written]]:
    group, size = [], 0
    for each in lists:
        group.append(each)
        size += len(each.values)
        if size >= _AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _read_alone(each: Written, read: Reader, read_many: ReadMany) -> Side:
    starts: list[Any] = []
    ends: list[Any] = []
    for first in range(0, len(each.values), _AT_ONCE):
        some = each.values[first : first + _AT_ONCE]
        many = read_many(some)
        if many is None:
            read_all = [
                read(value, f"{each.path}[{place}]") for value, place in zip(some, each.places[first:], strict=False)
            ]
            many = [start for start, _ in read_all], [end for _, end in read_all]
        starts += many[0]
        ends += many[1]
    return _side(each, starts, ends, read)


def _side(each: Written, starts: Sequence[Any], ends: Sequence[Any], read: Reader) -> Side:
    if len(starts) == 1:
        return Side([starts[0], ends[0]], each.shared)
    boundaries: list[Any] = [None] * (2 * len(starts))
    boundaries[::2], boundaries[1::2] = sorted(starts), sorted(ends)
    if any(map(gt, boundaries[1::2], boundaries[2::2])):
        _refuse_overlap(each, read)
    return Side(boundaries, each.shared)


def _refuse_overlap(each: Written, read: Reader) -> None:
    intervals = [read(value, each.path) for value in each.values]
    found = reachability.first_overlap(intervals)
    if found:
        inner, outer = (intervals[at] for at in found)
        how = "lies within" if outer[0] <= inner[0] and inner[1] <= outer[1] else "has a part of"
        within, of = (f"{each.path}[{each.places[at]}]" for at in found)
        refuse(within, f"overlaps: it {how} {of}")
