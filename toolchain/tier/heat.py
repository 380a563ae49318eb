"""Tells which of the functions that run seldom are hot enough to be compiled: a proxy compiles them at each start, wherever it runs them.

A training says what happens seldom, such as a configuration. Most of the functions that it alone runs take no time worth speaking of:
interpreted they make it slower by a seventh, and each start of the proxy quicker by far more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import add

from toolchain.tier.hints import Counts, counting

_SHARE = 0.015
"""Of the heat of what happens seldom, the part that may be interpreted: some ten times slower, so a seventh in all."""

_LEAST = 1000
"""What may be interpreted of it in any case: much less than a millisecond."""

Phases = list[tuple[bool, dict[int, Counts]]]
"""What ran in each part of a training by function, and whether that happens seldom."""


def is_seldom(memory: bytes) -> bool:
    """Tells whether a training says of the memory that it yields that what ran there happens seldom."""
    return bool(getattr(memory, "seldom", False))


def count(module: bytes, train: Callable[[bytes], Iterable[bytes]]) -> Phases:
    """Returns what a training counts in a module. Raises as `counting` and the training do."""
    counted = counting(module)
    return [(is_seldom(memory), counted.read(memory)) for memory in train(counted.module)]


def total(phases: Phases) -> dict[int, Counts]:
    """Returns all counts in one, by function: what happens seldom counts only at branches that nothing else reached."""
    often, seldom = (_sum(phase for seldom, phase in phases if seldom == wanted) for wanted in (False, True))
    return {
        function: _first(often.get(function, ()), seldom.get(function, ())) for function in sorted({*often, *seldom})
    }


def often(phases: Phases) -> dict[int, Counts]:
    """Returns the counts of what does not happen seldom."""
    return _sum(phase for seldom, phase in phases if not seldom)


def _sum(counted: Iterable[dict[int, Counts]]) -> dict[int, Counts]:
    found: dict[int, Counts] = {}
    for phase in counted:
        for function, counts in phase.items():
            before = found.get(function)
            found[function] = tuple(map(add, before, counts)) if before else counts
    return found


def _first(counts: Counts, others: Counts) -> Counts:
    """Returns the counts, and those of the others for branches that were not reached."""
    if not (counts and others):
        return counts or others
    filled = list(counts)
    for side in range(1, len(counts), 2):
        if not any(counts[side : side + 2]):
            filled[side : side + 2] = others[side : side + 2]
    return tuple(filled)


def cool(phases: Phases, functions: Collection[int], sizes: Mapping[int, int]) -> set[int]:
    """Returns those of the functions that are worth more as cold ones: of nothing that happens seldom they are more than a small part."""
    seldom = [{function: sum(counts) for function, counts in phase.items()} for is_seldom, phase in phases if is_seldom]
    allowed = [max(_LEAST, _SHARE * sum(heat.values())) for heat in seldom]

    def shares(function: int) -> list[float]:
        return [heat.get(function, 0) / most for heat, most in zip(seldom, allowed, strict=True)]

    chosen: set[int] = set()
    taken = [0.0] * len(seldom)
    # What saves most for its heat comes first.
    for function in sorted(functions, key=lambda f: (max(shares(f), default=0) / sizes[f], f)):
        together = [a + b for a, b in zip(taken, shares(function), strict=True)]
        if max(together, default=0) <= 1:
            chosen.add(function)
            taken = together
    return chosen
