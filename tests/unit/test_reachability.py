"""A rule is called unreachable if and only if no connection reaches it, found by trying them all."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filter import cidrs, reachability
from filter.index import Side
from filter.policy import CONTINUE, POSITIONS, Policy, Rule
from filter.reachability import first_overlap

Block = tuple[bytes, int]


class Match:
    """What a rule of these tests looks at."""

    def __init__(
        self,
        cidrs: list[Block] | None = None,
        parity: int | None = None,
        percentage: int | None = None,
        ports: list[int] | None = None,
        names: list[str] | None = None,
    ) -> None:
        self.cidrs = cidrs
        self.parity = parity
        self.percentage = percentage
        self.ports = ports
        self.names = names

    def sides(self) -> dict[str, Side]:
        """Returns it as the policy takes it."""
        found: dict[str, list[tuple[Any, Any]]] = {}
        if self.cidrs is not None:
            found["source_cidrs"] = [cidrs.interval(*block) for block in self.cidrs]
        if self.parity is not None:
            found["source_parity"] = [(self.parity, self.parity + 1)]
        if self.percentage is not None:
            found["source_percentage"] = [(0, self.percentage)]
        if self.ports is not None:
            found["destination_ports"] = [(port, port + 1) for port in self.ports]
        if self.names is not None:
            found["server_names"] = [name_interval(name) for name in self.names]
        return {name: Side(list(itertools.chain(*sorted(intervals)))) for name, intervals in found.items()}


def name_interval(name: str) -> tuple[str, str]:
    backwards = name[::-1]
    return (backwards[:-1], backwards[:-2] + "/") if name[0] == "*" else (backwards, backwards + "\0")


def first_unreachable(matches: list[Match]) -> tuple[int, int | None] | None:
    policy = Policy([(match.sides(), Rule(CONTINUE)) for match in matches])
    return reachability.first_unreachable(policy.sets(), len(matches))


# A point for each side is enough: one inside of every interval that the matches below can have, and one outside.
ADDRESSES = [*(bytes([0, 0, 0, i]) for i in range(8)), bytes([9, 9, 9, 9]), bytes(16), bytes(15) + b"\1", b"\xff" * 16]
POSITIONS_TRIED = [0, 1, 2999, 3000, 9999]
PORTS = [1, 2, 3]
NAMES = ["", "a", "x.a", "y.x.a", "z.a", "b"]

BLOCKS = [(bytes([0, 0, 0, i & -(1 << bits)]), 32 - bits) for bits in range(4) for i in range(0, 8, 1 << bits)] + [
    (bytes(4), 0),
    (bytes(16), 0),
    (bytes(16), 127),
    (bytes(16), 128),
]

MATCHES = st.builds(
    Match,
    st.none() | st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=3, unique=True),
    st.sampled_from([None, None, 0, 1]),
    st.sampled_from([None, None, 1, 3000, POSITIONS]),
    st.none() | st.lists(st.sampled_from(PORTS[:2]), min_size=1, unique=True),
    st.none() | st.lists(st.sampled_from(["a", "x.a", "*.a", "*.x.a"]), min_size=1, max_size=2, unique=True),
).filter(lambda match: _apart(match))


def _apart(match: Match) -> bool:
    return not (
        first_overlap([cidrs.interval(*block) for block in match.cidrs or []])
        or first_overlap([name_interval(name) for name in match.names or []])
    )


def within(address: bytes, block: tuple[bytes, int]) -> bool:
    start, length = block
    drop = 8 * len(start) - length
    return len(address) == len(start) and int.from_bytes(address, "big") >> drop == int.from_bytes(start, "big") >> drop


def named(name: str, pattern: str) -> bool:
    return name.endswith(pattern[1:]) if pattern[0] == "*" else name == pattern


def points(match: Match) -> set[tuple[object, ...]]:
    """Returns every connection that the match is about; an address and its parity count as independent."""
    return set(
        itertools.product(
            [a for a in ADDRESSES if match.cidrs is None or any(within(a, block) for block in match.cidrs)],
            [0, 1] if match.parity is None else [match.parity],
            [p for p in POSITIONS_TRIED if match.percentage is None or p < match.percentage],
            [p for p in PORTS if match.ports is None or p in match.ports],
            [n for n in NAMES if match.names is None or any(named(n, pattern) for pattern in match.names)],
        )
    )


def tried(matches: list[Match]) -> int | None:
    taken: set[tuple[object, ...]] = set()
    for place, match in enumerate(matches):
        mine = points(match)
        if mine <= taken:
            return place
        taken |= mine
    return None


@given(st.lists(MATCHES, max_size=5))
@example([Match(parity=0), Match(parity=1), Match()])
@example([Match(cidrs=[(bytes(4), 0)]), Match(cidrs=[(bytes(16), 0)]), Match(ports=[1])])
@example([Match(names=["*.a"]), Match(names=["x.a"])])
@example([Match(percentage=POSITIONS), Match(ports=[1])])
@example([Match(names=["x.a", "*.x.a"]), Match(), Match(names=["*.a"])])
def test_it_is_what_trying_says(matches: list[Match]) -> None:
    found = first_unreachable(matches)
    place = tried(matches)
    assert (None if found is None else found[0]) == place
    if found is not None:
        before = next((i for i in range(found[0]) if points(matches[found[0]]) <= points(matches[i])), None)
        assert found[1] == before


@given(st.lists(st.sampled_from(BLOCKS), max_size=6), st.lists(st.sampled_from([1, 2, 3]), max_size=3))
def test_overlaps(blocks: list[tuple[bytes, int]], ports: list[int]) -> None:
    found = first_overlap([cidrs.interval(*block) for block in blocks])
    inner = {
        (i, j)
        for i, j in itertools.permutations(range(len(blocks)), 2)
        if blocks[i][1] >= blocks[j][1] and within(blocks[i][0], blocks[j])
    }
    assert found in inner if inner else found is None
    assert (first_overlap([(port, port + 1) for port in ports]) is None) == (len(set(ports)) == len(ports))


def test_the_search_ends_and_lets_the_rest_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    covered = [Match(ports=[1, 3]), Match(ports=[2]), Match(ports=[1, 2])]
    assert first_unreachable(covered) == (2, None)
    monkeypatch.setattr(reachability, "WORK", 3)
    assert first_unreachable(covered) is None


def test_rules_that_are_apart_need_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachability, "WORK", 0)
    assert first_unreachable([Match(ports=[i]) for i in range(1, 257)]) is None
    assert first_unreachable([Match(cidrs=[(bytes([10, i, 0, 0]), 16)], parity=i % 2) for i in range(256)]) is None
    assert first_unreachable([Match(percentage=i + 1, names=["a"]) for i in range(256)]) is None
    nested = [Match(cidrs=[(bytes(4), 32 - i)], parity=parity) for i in range(8, 32) for parity in (0, 1)]
    assert first_unreachable(nested) is None
