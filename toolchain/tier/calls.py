"""Finds the calls of a function that connections make, and so the functions into which V8 may put others.

V8 without Liftoff puts callees into callers as long as its budget lasts, whether a call is ever made or not: the code that it compiled was
six times as large as what it was given. A call through a table it leaves alone. So in a function with calls that connections make, the
others go through the interpreter's own table (`bodies.py`). From all other functions V8 is kept away (`growth.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolchain.tier.translation import Part
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.instructions import find, read_body

if TYPE_CHECKING:
    from toolchain.tier.hints import Counts

SHARE = 1 / 16
"""A call is worth its place in the caller if so many of the most frequent callback's runs make it."""

_LARGE = 4096
"""In a function of so many bytes no call is worth its place: that is CPython's evaluation loop."""

_ENDS = {wasm.RETURN, wasm.UNREACHABLE}
_FOLLOWED = {wasm.CALL, wasm.BLOCK, wasm.LOOP, wasm.IF, wasm.ELSE, wasm.END, wasm.BR, wasm.BR_IF, wasm.BR_TABLE, *_ENDS}


@dataclass
class _Label:
    """A block that is open."""

    loop: bool
    left: int = 0
    """How often something went on behind it."""

    otherwise: int = 0
    """How often its `else` ran, or what comes behind an `if` without one."""


def made(body: bytes, cold: Collection[Part], counts: Counts, least: float) -> frozenset[int]:
    """Returns the calls of a body without its cold parts, by their order, that were made so often, as its counts tell."""
    walk = _Walk(counts, least)
    for place in find(read_body(body).code, _FOLLOWED):
        if any(part.begin < place.end <= part.end for part in cold):
            walk.leave()
        else:
            walk.step(place.opcode, place.operands)
    return frozenset(walk.found)


def opened(
    bodies: Mapping[int, bytes], cold: Mapping[int, Collection[Part]], direct: Mapping[int, Collection[int]]
) -> set[int]:
    """Returns the functions into which V8 may put others: those with direct calls and those that they call, but no large ones."""
    found = set()
    for function, numbers in direct.items():
        parts = cold.get(function, ())
        calls = find(read_body(bodies[function]).code, {wasm.CALL})
        compiled = [place for place in calls if not any(part.begin < place.end <= part.end for part in parts)]
        if numbers and not _large(bodies[function], parts):
            found |= {function, *(compiled[number].operands[0] for number in numbers)}
    return {function for function in found & bodies.keys() if not _large(bodies[function], cold.get(function, ()))}


def _large(body: bytes, cold: Collection[Part]) -> bool:
    return len(body) - sum(part.end - part.begin for part in cold) >= _LARGE


class _Walk:
    """A walk through a body that knows how often it came where it is; in a loop, before the first branch, only how often it was entered."""

    def __init__(self, counts: Counts, least: float) -> None:
        self._runs, *sides = counts
        self._sides = iter(zip(sides[::2], sides[1::2], strict=True))
        self._least = least
        self.found: set[int] = set()
        self._calls = 0
        self._labels = [_Label(loop=False)]

    def step(self, opcode: int, operands: tuple[int, ...]) -> None:
        """Goes on by an instruction."""
        if opcode == wasm.CALL:
            if self._runs >= self._least:
                self.found.add(self._calls)
            self._calls += 1
        elif opcode in (wasm.BLOCK, wasm.LOOP):
            self._labels.append(_Label(opcode == wasm.LOOP))
        elif opcode == wasm.IF:
            self._runs, otherwise = next(self._sides)
            self._labels.append(_Label(loop=False, otherwise=otherwise))
        elif opcode == wasm.ELSE:
            label = self._labels[-1]
            label.left, label.otherwise, self._runs = label.left + self._runs, 0, label.otherwise
        elif opcode == wasm.END:
            label = self._labels.pop()
            self._runs += label.otherwise + (0 if label.loop else label.left)
        elif opcode == wasm.BR_IF:
            left, self._runs = next(self._sides)
            self._labels[-1 - operands[0]].left += left
        elif opcode in (wasm.BR, wasm.BR_TABLE):
            for depth in operands:
                self._labels[-1 - depth].left += self._runs
            self.leave()
        elif opcode in _ENDS:
            self.leave()

    def leave(self) -> None:
        """Comes to what ends the block, or the function."""
        self._runs = 0
