"""Says which functions of a module are compiled and which are cold, with name and size, and why."""

from __future__ import annotations

from collections.abc import Collection

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
    first = Declarations(module).imported
    sizes = {index: len(body) for index, body in enumerate(module.bodies(), first)}
    named = {int(index): name for index, name in (line.split(" ", 1) for line in names.splitlines())}
    why = {index: f"the interpreter does not know it: {reason}" for index, reason in translation.unknown.items()}
    why |= dict.fromkeys(ran, _TRAINED)
    compiled = [index for index in sizes if index in why]
    cold = [index for index in sizes if index not in why]

    saved = {
        index: sum(part.end - part.begin for part in unreached(translation.parts[index], marks))
        for index, marks in reached.items()
        if index in ran
    }

    def line(index: int) -> str:
        cold_parts = f", {saved[index]} of them in cold parts" if saved.get(index) else ""
        return f"{sizes[index]:8} {named.get(index, f'function {index}')}{cold_parts}"

    def total(functions: list[int]) -> str:
        return f"{len(functions)} functions, {sum(sizes[index] for index in functions)} bytes"

    def lines(functions: list[int]) -> list[str]:
        ordered = sorted(functions, key=lambda index: (-sizes[index], index))
        return [line(index) for index in ordered]

    parts = [f"compiled: {total(compiled)}, {sum(saved.values())} of them in cold parts", f"cold: {total(cold)}", ""]
    for reason in sorted(set(why.values())):
        because = [index for index in compiled if why[index] == reason]
        parts += [f"compiled because {reason}: {total(because)}", "", *lines(because), ""]
    for reason, chosen in ((_COOLED, True), (_NOT_RUN, False)):
        because = [index for index in cold if (index in cooled) == chosen]
        if because:
            parts += [f"cold because {reason}: {total(because)}", "", *lines(because), ""]
    return "\n".join(parts)
