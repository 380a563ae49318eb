"""Says which functions of a module are compiled and which are cold, with name and size, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from toolchain.tier.declarations import Declarations
from toolchain.tier.parts import Reached, unreached
from toolchain.tier.translation import Translation
from toolchain.wasm.format import Module

_TRAINED = "the training ran it"
_COOLED = "it runs seldom and little"
_NOT_RUN = "the training did not run it"
_LEFT_OUT = "nothing in the filter can reach it"
_ALL_LEFT_OUT = "left out because nothing in the filter can reach them"


class Weighed(NamedTuple):
    """A function of the runtime in a filter: its name, how many bytes it was, and what became of it."""

    name: str
    size: int
    in_cold_parts: int
    """So many of a compiled function's bytes are cold."""

    compiled: bool
    why: str


class Weights(NamedTuple):
    """What weighs how much in a tiered module."""

    functions: list[Weighed]

    packed_bodies: int
    """How many bytes of the module are the bodies of cold functions."""

    packed_image: int
    """How many are what its memories hold at the start."""

    left_out: Sequence[str] = ()
    """The modules of C and the codecs that are left out."""

    zeroed: int = 0
    """How many bytes of data are left out with them."""


def weigh(
    snapshot: bytes,
    ran: Collection[int],
    reached: Reached,
    translation: Translation,
    names: str,
    cooled: Collection[int] = (),
    left_out: Collection[int] = (),
) -> list[Weighed]:
    """Returns all functions, the largest first, by what a training ran and reached, and by what it ran and is cold all the same.

    Those that are left out are cold too.

    `names` has a line for each function that has a name: its index and the name.
    """
    module = Module(snapshot)
    sizes = {index: len(body) for index, body in enumerate(module.bodies(), Declarations(module).imported)}
    why = {index: f"the interpreter does not know it: {reason}" for index, reason in translation.unknown.items()}
    why |= dict.fromkeys(ran, _TRAINED)
    named, cold_parts = _names(names), _in_cold_parts(ran, reached, translation)
    return [
        Weighed(
            named.get(index, f"function {index}"),
            size,
            cold_parts.get(index, 0),
            index in why,
            why.get(index, _COOLED if index in cooled else _LEFT_OUT if index in left_out else _NOT_RUN),
        )
        for index, size in sorted(sizes.items(), key=lambda found: (-found[1], found[0]))
    ]


def report(weights: Weights) -> str:
    """Returns the text of what `weigh` found, and of what is left out."""
    functions = [found for found in weights.functions if found.why != _LEFT_OUT]
    gone = [found for found in weights.functions if found.why == _LEFT_OUT]
    compiled, cold = ([found for found in functions if found.compiled == wanted] for wanted in (True, False))
    parts = [
        f"compiled: {_total(compiled)}, {sum(found.in_cold_parts for found in compiled)} of them in cold parts",
        f"cold: {_total(cold)}",
        f"left out: {_total(gone)}, and {weights.zeroed} bytes of data",
        "",
    ]
    parts += [f"modules {_ALL_LEFT_OUT}: {' '.join(weights.left_out)}", ""] if weights.left_out else []
    for reason in sorted({found.why for found in compiled}):
        parts += _section(f"compiled because {reason}", [found for found in compiled if found.why == reason])
    for reason in (_COOLED, _NOT_RUN):
        because = [found for found in cold if found.why == reason]
        parts += _section(f"cold because {reason}", because) if because else []
    parts += _section(_ALL_LEFT_OUT, gone) if gone else []
    return "\n".join(parts)


def _names(lines: str) -> Mapping[int, str]:
    pairs = (line.split(" ", 1) for line in lines.splitlines())
    return {int(index): name for index, name in pairs}


def _in_cold_parts(ran: Collection[int], reached: Reached, translation: Translation) -> Mapping[int, int]:
    """Returns how many bytes of each compiled function are in cold parts."""
    return {
        index: sum(part.end - part.begin for part in found)
        for index, found in unreached(translation, ran, reached).items()
    }


def _total(functions: Collection[Weighed]) -> str:
    return f"{len(functions)} functions, {sum(found.size for found in functions)} bytes"


def _section(title: str, functions: Collection[Weighed]) -> list[str]:
    return [f"{title}: {_total(functions)}", "", *map(_line, functions), ""]


def _line(found: Weighed) -> str:
    cold_parts = f", {found.in_cold_parts} of them in cold parts" if found.in_cold_parts else ""
    return f"{found.size:8} {found.name}{cold_parts}"
