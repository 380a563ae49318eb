"""Says which functions of a module are compiled and which are cold, with name and size, and why."""

from __future__ import annotations

from toolchain.tier.declarations import Declarations
from toolchain.tier.translate import Translation
from toolchain.wasm import Module

_TRAINED = "the training ran it"


def report(snapshot: bytes, ran: set[int], translation: Translation, names: str) -> str:
    """Returns the report's text; `names` has a line for each named function, with its index and its name."""
    module = Module(snapshot)
    first = Declarations(module).imported
    sizes = {index: len(body) for index, body in enumerate(module.bodies(), first)}
    named = {int(index): name for index, name in (line.split(" ", 1) for line in names.splitlines())}
    why = {index: f"the interpreter does not know it: {reason}" for index, reason in translation.unknown.items()}
    why |= dict.fromkeys(ran, _TRAINED)
    compiled = [index for index in sizes if index in why]
    cold = [index for index in sizes if index not in why]

    def total(functions: list[int]) -> str:
        return f"{len(functions)} functions, {sum(sizes[index] for index in functions)} bytes"

    def lines(functions: list[int]) -> list[str]:
        ordered = sorted(functions, key=lambda index: (-sizes[index], index))
        return [f"{sizes[index]:8} {named.get(index, f'function {index}')}" for index in ordered]

    parts = [f"compiled: {total(compiled)}", f"cold: {total(cold)}", ""]
    for reason in sorted(set(why.values())):
        because = [index for index in compiled if why[index] == reason]
        parts += [f"compiled because {reason}: {total(because)}", "", *lines(because), ""]
    parts += [f"cold because the training did not run it: {total(cold)}", "", *lines(cold)]
    return "\n".join(parts) + "\n"
