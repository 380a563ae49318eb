"""Who checks how much of the stack is used, and why others need not: CPython's tables, for the functions of one module.

`callgraph.py` finds who calls whom, and `circles.py` the circles of calls. Each circle goes through a function that checks: one of
CPython's own, or one of `CHECKED`. Or it goes through a function of `BOUNDED`, with the reason why it ends before the stack does. A name
may be a pattern. A name that no function has is an error, and so is a circle that neither table breaks: the build names its functions. The
tables are in `cpython/recursion.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from toolchain.cpython import compiler
from toolchain.cpython import recursion as cpython
from toolchain.cpython.recursion import Failure
from toolchain.guard.callgraph import CallGraph
from toolchain.guard.circles import circles
from toolchain.tools import ToolchainError
from toolchain.wasm.format import FormatError


class Tables(NamedTuple):
    """What is known by name: see the tables of `cpython/recursion.py`, and of `cpython/compiler.py` for the last one."""

    checked: Mapping[str, Failure] = {}
    bounded: Mapping[str, str] = {}
    unfollowed: Mapping[str, str] = {}
    families: Mapping[str, str] = {}
    called_instead: Mapping[tuple[str | None, str], str] = {}
    refused: Mapping[str, str] = {}
    asked_before: Mapping[str, str] = {}
    entries: Mapping[str, Failure] = {}


CPYTHON = Tables(
    cpython.CHECKED,
    cpython.BOUNDED,
    cpython.UNFOLLOWED,
    cpython.FAMILIES,
    cpython.CALLED_INSTEAD,
    cpython.REFUSED,
    cpython.ASKED_BEFORE,
    compiler.ENTRIES,
)


@dataclass(frozen=True)
class Rules:
    """The tables, for the functions of one module: `rules_of` makes them."""

    names: Mapping[int, str]
    """What the module calls each function."""

    tables: Tables
    """What is known by name."""

    indices: Mapping[str, Sequence[int]]
    """The functions of each name."""

    checked: Mapping[int, Failure]
    """The functions to which a check is added, and what it raises."""

    bounded: Set[int]
    """The functions with a reason why a circle through them ends."""

    unfollowed_functions: Set[int]
    """The functions whose calls through pointers are not followed."""

    def index(self, name: str) -> int:
        """Returns the function of a name, or raises FormatError if there is none, or more than one."""
        return _only(self.indices, name)

    def unfollowed(self, index: int) -> bool:
        """Tells whether a function's calls through pointers are not followed."""
        return index in self.unfollowed_functions

    def checks(self, graph: CallGraph) -> set[int]:
        """Returns the functions that ask CPython's own guard."""
        own = {index for name in cpython.OWN_CHECKS for index in self.indices.get(name, ())}
        limits = [offset for index in self.indices.get(cpython.COMPARES, ()) for offset in graph.runs[index].offsets]
        return {
            index
            for index, run in graph.runs.items()
            if not run.offsets.isdisjoint(limits) or any(call.callee in own for call in run.calls)
        }

    def verify(self, graph: CallGraph) -> None:
        """Raises ToolchainError, with the functions' names, if a circle of calls has neither a check nor a reason."""
        if graph.unknown:
            found = ", ".join(sorted(self.names[index] for index in graph.unknown))
            raise ToolchainError(
                f"a call through a pointer of which nothing is known, in {found}; see UNFOLLOWED in cpython/recursion.py"
            )
        broken = self.bounded | self.checked.keys() | self.checks(graph)
        nodes = {node for node in [*graph.following, *graph.runs] if node not in broken}
        lines = []
        for circle in circles(nodes, lambda node: graph.following.get(node, ())):
            functions = sorted(self.names.get(node, str(node)) for node in circle if isinstance(node, int))
            if functions:
                lines.append(" ".join(functions[:40]))
        if lines:
            raise ToolchainError(
                "recursion without a check; cpython/recursion.py has to have one of each line's functions, in CHECKED or with a reason in "
                "BOUNDED:\n" + "\n".join(sorted(lines))
            )


def rules_of(names: Mapping[int, str], tables: Tables = CPYTHON) -> Rules:
    """Returns the tables for a module's functions; raises FormatError for a name that none of them has."""
    indices: dict[str, list[int]] = {}
    for index, name in names.items():
        indices.setdefault(name, []).append(index)
    checked = {_only(indices, name): failure for name, failure in tables.checked.items()}
    unfollowed = _find(indices, tables.unfollowed)
    for first, last in tables.families.items():
        members = [index for index, name in names.items() if name.startswith((first, last))]
        unfollowed.update(range(min(members), max(members) + 1))
    return Rules(names, tables, indices, checked, _find(indices, tables.bounded), unfollowed)


def _only(indices: Mapping[str, Sequence[int]], name: str) -> int:
    found = indices.get(name, [])
    if len(found) != 1:
        raise FormatError(f"{len(found)} functions are called {name}, which cpython/recursion.py names")
    return found[0]


def _find(indices: Mapping[str, Sequence[int]], table: Mapping[str, str]) -> set[int]:
    found: set[int] = set()
    for pattern in (word for words in table for word in words.split()):
        matching = [name for name in indices if fnmatchcase(name, pattern)]
        if not matching:
            raise FormatError(f"no function is called {pattern}, which cpython/recursion.py names")
        found.update(index for name in matching for index in indices[name])
    return found
