"""Leaves out of CPython what no filter can ever use: the functions of a module of C whose import is refused.

A library lies in one piece in a linked module, in the order of its files. So `UNUSED` in `cpython/recursion.py` names the first and the
last function of each piece. The import of what uses it fails (`REFUSED`), and nothing else may lead into the pieces: no call, and no
pointer that code passes on. A pointer in data may, as the tables of methods are data: only code of the piece itself has them. The
functions become traps, and the optimiser makes one function of all those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from toolchain.guard.callgraph import RELOCATIONS, CallGraph
from toolchain.guard.pointers import SYMBOL, Run
from toolchain.guard.recursion import Rules
from toolchain.wasm.code import UNREACHABLE, function_body
from toolchain.wasm.format import FUNC_KIND, FormatError, Module


def find(rules: Rules, pieces: Sequence[tuple[str, str]]) -> set[int]:
    """Returns the functions of these pieces."""
    unused: set[int] = set()
    for first, last in pieces:
        begin, end = rules.index(first), rules.index(last)
        if begin > end:
            raise FormatError(
                f"{first} comes behind {last}, and UNUSED in cpython/recursion.py has them the other way round"
            )
        unused.update(range(begin, end + 1))
    return unused - _refused(rules)


def _refused(rules: Rules) -> set[int]:
    return {rules.index(name) for name in rules.tables.refused}


def drop(module: Module, graph: CallGraph, table: Mapping[int, int], rules: Rules, unused: Collection[int]) -> int:
    """Puts a trap in the place of each of these functions, and returns how many bytes of code that saves.

    Graph and table are those of the module. Raises FormatError, with names, if a function outside leads to one of them.
    """
    writing = {e.index for e in module.exports() if e.name.endswith(RELOCATIONS) and e.kind == FUNC_KIND}
    for index in graph.runs.keys() - set(unused) - _refused(rules) - writing:
        for found in sorted(_named(graph.runs[index], table).intersection(unused)):
            raise FormatError(
                f"{rules.names.get(index, index)} leads to {rules.names.get(found, found)}, which UNUSED in cpython/recursion.py leaves out"
            )
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    bodies = module.bodies()
    saved = sum(len(bodies[index - imported]) for index in unused)
    for index in unused:
        bodies[index - imported] = function_body(UNREACHABLE)
    module.put_bodies(bodies)
    return saved


def _named(run: Run, table: Mapping[int, int]) -> set[int]:
    """Returns the functions that a function calls by name, or whose pointers it calls, stores or passes."""
    found = set[int]()
    values = [store.value for store in run.stores]
    for call in run.calls:
        values += call.arguments
        if isinstance(call.callee, int):
            found.add(call.callee)
        else:
            values.append(call.callee)
    numbers = {origin.number for value in values for origin in value if origin.kind == SYMBOL}
    return found | {table[number] for number in numbers & table.keys()}
