"""Says which functions of a module are compiled and which are cold, with name and size, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from toolchain.tier.assemble import Reached
from toolchain.tier.declarations import Declarations
from toolchain.tier.parts import unreached
from toolchain.tier.translation import Translation
from toolchain.wasm.format import Module

_TRAINED = "the training ran it"
_COOLED = "it runs seldom and little"
_NOT_RUN = "the training did not run it"


def report(
    snapshot: bytes,
    ran: Collection[int],
    reached: Reached,
    translation: Translation,
    names: str,
    cooled: Collection[int] = (),
) -> str:
    """Returns the report's text for what a training ran and reached, and for what it ran and is cold all the same.

    `names` has a line for each function that has a name: its index and the name.
    """
    module = Module(snapshot)
    sizes = {index: len(body) for index, body in enumerate(module.bodies(), Declarations(module).imported)}
    why = {index: f"the interpreter does not know it: {reason}" for index, reason in translation.unknown.items()}
    why |= dict.fromkeys(ran, _TRAINED)
    compiled = [index for index in sizes if index in why]
    cold = [index for index in sizes if index not in why]
    listed = _Listed(sizes, _names(names), _in_cold_parts(ran, reached, translation))
    parts = [
        f"compiled: {listed.total(compiled)}, {sum(listed.in_cold_parts.values())} of them in cold parts",
        f"cold: {listed.total(cold)}",
        "",
    ]
    for reason in sorted(set(why.values())):
        parts += listed.section(f"compiled because {reason}", [index for index in compiled if why[index] == reason])
    for reason, chosen in ((_COOLED, True), (_NOT_RUN, False)):
        because = [index for index in cold if (index in cooled) == chosen]
        parts += listed.section(f"cold because {reason}", because) if because else []
    return "\n".join(parts)


def _names(lines: str) -> Mapping[int, str]:
    pairs = (line.split(" ", 1) for line in lines.splitlines())
    return {int(index): name for index, name in pairs}


def _in_cold_parts(ran: Collection[int], reached: Reached, translation: Translation) -> Mapping[int, int]:
    """Returns how many bytes of each compiled function are in cold parts."""
    return {
        index: sum(part.end - part.begin for part in unreached(translation.parts[index], marks))
        for index, marks in reached.items()
        if index in ran
    }


class _Listed(NamedTuple):
    """What the report says of functions."""

    sizes: Mapping[int, int]
    names: Mapping[int, str]
    in_cold_parts: Mapping[int, int]

    def total(self, functions: Collection[int]) -> str:
        """Returns how many they are, and how large."""
        return f"{len(functions)} functions, {sum(self.sizes[index] for index in functions)} bytes"

    def section(self, title: str, functions: Collection[int]) -> list[str]:
        """Returns the lines of a section: the largest functions come first."""
        ordered = sorted(functions, key=lambda index: (-self.sizes[index], index))
        return [f"{title}: {self.total(functions)}", "", *map(self._line, ordered), ""]

    def _line(self, index: int) -> str:
        cold = self.in_cold_parts.get(index)
        cold_parts = f", {cold} of them in cold parts" if cold else ""
        return f"{self.sizes[index]:8} {self.names.get(index, f'function {index}')}{cold_parts}"
