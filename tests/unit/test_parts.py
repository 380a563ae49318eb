"""Which parts of a kept function become cold: those that no training reached, if the function becomes smaller without them."""

from __future__ import annotations

from toolchain.tier.contract import HEAD, NARROW
from toolchain.tier.parts import unreached
from toolchain.tier.translation import Part, Translation

INNER, OUTER, LAST = Part(7, 20, 60, 1), Part(5, 10, 90, 0), Part(9, 100, 150, 0)


def found(parts: list[Part], reached: set[int], own: int = 2) -> dict[int, list[Part]]:
    body = HEAD.pack(mode=NARROW, type=0, parameters=0, locals=own, frame=own)
    translation = Translation(b"", {1: body}, {1: parts}, {}, None)
    return unreached(translation, [1, 2], {1: reached})


def test_what_was_not_reached_becomes_cold_once() -> None:
    assert found([OUTER, INNER, LAST], set()) == {1: [OUTER, LAST]}
    assert found([OUTER, INNER, LAST], {5}) == {1: [INNER, LAST]}


def test_a_function_that_would_not_become_smaller_stays_whole() -> None:
    assert found([OUTER, INNER, LAST], {5, 7, 9}) == {}
    assert found([INNER], set()) == {}
    # It stores all its locals before the interpreter goes on.
    assert found([OUTER], set(), own=1) == {1: [OUTER]}
    assert found([OUTER], set(), own=20) == {}


def test_a_small_part_is_not_worth_the_jump() -> None:
    assert found([Part(1, 10, 10 + 31, 0), OUTER], set()) == {1: [OUTER]}
