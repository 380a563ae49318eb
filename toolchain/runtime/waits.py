"""Every wait of CPython's raises in a proxy, with a sentence that names what to do instead (waits.c).

Whatever Python code can wait in ends in one of a few C functions: those of `time` and `select` that end in a poll of WASI's, the lock,
and the parking lot, which is behind queues and threads. Their bodies become calls of the functions in waits.c.
"""

from __future__ import annotations

from toolchain.cpython.waiting import WAITING
from toolchain.wasm.code import call, function_body, local_get
from toolchain.wasm.format import FUNC_KIND, FormatError, Module

PREFIX = "waits#"
"""What the names of the exports of waits.c begin with; a name of CPython's C function follows."""


def refuse(module: Module) -> None:
    """Lets CPython's waiting functions call those of waits.c, which are exported.

    Raises FormatError if CPython has no function of a name, more than one, or one of another type.
    """
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    types, bodies = list(module.function_types()), module.bodies()
    indices: dict[str, list[int]] = {}
    for index, name in module.function_names().items():
        indices.setdefault(name, []).append(index)
    instead = {e.name.removeprefix(PREFIX): e for e in module.exports() if e.name.startswith(PREFIX)}
    if instead.keys() != set(WAITING):
        raise FormatError(
            f"waits.c replaces {', '.join(sorted(instead))}; the table WAITING in cpython/waiting.py has other functions"
        )
    for name, export in instead.items():
        found = [index for index in indices.get(name, ()) if types[index] == types[export.index]]
        if len(found) != 1:
            raise FormatError(
                f"{len(found)} functions are called {name} and have its type, which cpython/waiting.py says waits.c replaces"
            )
        arguments = map(local_get, range(len(types[export.index].parameters)))
        bodies[found[0] - imported] = function_body(*arguments, call(export.index))
    module.put_bodies(bodies)
