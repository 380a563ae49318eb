"""Who can call whom in CPython, pointers to functions included.

What is called through a pointer is found as follows; `pointers.py` says where a pointer comes from.

 - A constant is the table's element; so is what the libraries' data has at a fixed address.
 - What is read from a structure at an offset is a slot of a type: all functions that a type of the libraries, or of a module's
   `PyType_Spec`, or a class of Python has at that offset, and what code stores at such an offset. Four words to one word is a vectorcall.
 - A parameter is what the callers pass, as far as they pass a function by name.
 - C methods, getters and setters are left out: the functions that call them check.

What no rule knows is an error. `cpython/recursion.py` says why calls through other pointers need not be followed: the callbacks of expat
and of SQLite, allocators, converters of arguments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.cpython.types import VECTORCALL
from toolchain.guard.circles import Node
from toolchain.guard.data import Data, read_constants, read_data, read_table
from toolchain.guard.pointers import (
    ADDRESS,
    CONSTANT,
    FIELD,
    FIXED,
    NO_BASES,
    PARAMETER,
    SYMBOL,
    UNKNOWN,
    Call,
    Origin,
    Run,
    Value,
    run,
)
from toolchain.guard.types import slots
from toolchain.wasm.format import FUNC_KIND, I32, FunctionType, Module

RELOCATIONS = ".__wasm_apply_data_relocs"
"""How the exports end that write addresses into the libraries' data."""

Kind = tuple[bytes, bytes]
"""The parameters and results of a function."""

_VECTORCALL_KIND: Kind = (bytes([I32] * 4), bytes([I32]))


class _Pointer(NamedTuple):
    """A node between functions: the pointers to functions of a kind that come from one place."""

    origin: str
    """FIELD, FIXED or PARAMETER."""

    kind: Kind
    number: int
    """The offset of a field, a fixed address, or the index of a parameter."""

    function: int = -1
    """Whose parameter it is; -1 for what is none."""


@dataclass(frozen=True)
class CallGraph:
    """The calls of a merged module."""

    runs: Mapping[int, Run]
    """What each function does, by index."""

    following: Mapping[Node, set[Node]]
    """Who calls whom: functions by index, and between them a `_Pointer` for each kind of pointer."""

    unknown: Collection[int]
    """The functions that call through a pointer of which nothing is known."""

    data: Data
    """The libraries' data."""


@dataclass(frozen=True)
class _Facts:
    """What is known of a module's pointers before any call is followed."""

    kinds: list[Kind]
    """The kind of each function."""

    runs: Mapping[int, Run]
    table: Mapping[int, int]
    data: Data
    slots: Mapping[int, set[int]]
    """The functions of types, by the offset of their slot."""

    stored: Mapping[int, set[int]]
    """The functions that code stores, by the offset or the fixed address."""

    def of_kind(self, functions: Collection[int], kind: Kind) -> set[int]:
        """Returns those of some functions that are of a kind."""
        return {function for function in functions if self.kinds[function] == kind}

    def in_slot(self, kind: Kind, offset: int) -> set[int]:
        """Returns the functions of a kind that a structure can have at an offset."""
        found = self.slots.get(offset, set()) | self.stored.get(offset, set())
        if kind == _VECTORCALL_KIND:
            found = found.union(self.slots.get(VECTORCALL, ()), *self.stored.values())
        return self.of_kind(found, kind)

    def pointed_to(self, origin: Origin) -> int | None:
        """Returns the function that a constant is, or that the data has at a fixed address."""
        element = self.data.pointers.get(origin.number, -1) if origin.kind == FIXED else origin.number
        return self.table.get(element)


def call_graph(
    module: Module, stack_pointer: int, unfollowed: Callable[[int], bool], bases: Mapping[int, int] = NO_BASES
) -> CallGraph:
    """Returns the calls of a module.

    Args: the merged module; the index of the shadow stack's pointer; whether a function's calls through pointers are not followed; where
    the libraries' own data and elements begin and end (`pointers.run`).
    """
    facts = _facts(module, stack_pointer, bases)
    calls = _Calls(facts)
    for caller, done in facts.runs.items():
        for call in done.calls:
            calls.add(caller, call, unfollowed(caller))
    calls.resolve()
    return CallGraph(facts.runs, calls.following, calls.unknown, facts.data)


def _facts(module: Module, stack_pointer: int, bases: Mapping[int, int]) -> _Facts:
    constants = read_constants(module, stack_pointer)
    runs, table = _runs(module, constants, bases), read_table(module, constants)
    relocations = {e.index for e in module.exports() if e.name.endswith(RELOCATIONS) and e.kind == FUNC_KIND}
    data = read_data(module, (runs[index] for index in relocations))
    stored = _stored([done for index, done in runs.items() if index not in relocations], table)
    return _Facts(
        list(map(_kind, module.function_types())), runs, table, data, slots(module, data, table, constants), stored
    )


def _kind(function: FunctionType) -> Kind:
    return bytes(function.parameters), bytes(function.results)


def _runs(module: Module, constants: Mapping[int, int], bases: Mapping[int, int]) -> dict[int, Run]:
    types, functions = module.types(), list(module.function_types())
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    own: list[FunctionType] = functions[imported:]
    return {
        imported + n: run(body, own[n], types, functions, constants, bases) for n, body in enumerate(module.bodies())
    }


def _stored(runs: Collection[Run], table: Mapping[int, int]) -> Mapping[int, set[int]]:
    """Returns the functions that code stores, by the offset."""
    stored: dict[int, set[int]] = defaultdict(set)
    for store in (store for done in runs for store in done.stores):
        functions = {table[o.number] for o in store.value if o.kind == SYMBOL and o.number in table}
        for origin in store.address if functions else ():
            offset = store.offset + (origin.number if origin.kind in (ADDRESS, CONSTANT, SYMBOL) else 0)
            stored[offset] |= functions
    return stored


class _Calls:
    """Follows calls: first each adds its nodes, and then it is found what nodes that are no functions lead to."""

    def __init__(self, facts: _Facts) -> None:
        self.facts = facts
        self.following: dict[Node, set[Node]] = defaultdict(set)
        self.unknown: set[int] = set()
        self._callers: dict[int, list[tuple[int, Call]]] = defaultdict(list)
        self._sites: dict[Node, list[tuple[int, Call]]] = defaultdict(list)
        self._by_target: dict[int, set[Node]] = defaultdict(set)
        self._waiting: list[_Pointer] = []

    def add(self, caller: int, call: Call, unfollowed: bool) -> None:
        """Adds a call of a function's."""
        if isinstance(call.callee, int):
            self.following[caller].add(call.callee)
            self._callers[call.callee].append((caller, call))
        elif not unfollowed:
            self._add_indirect(caller, call, call.callee)

    def _add_indirect(self, caller: int, call: Call, callee: Value) -> None:
        if UNKNOWN in callee:
            self.unknown.add(caller)
        for origin in callee:
            node = self._node(caller, origin, _kind(call.type))
            if node is not None:
                self.following[caller].add(node)
                if not isinstance(node, int):
                    self._sites[node].append((caller, call))

    def resolve(self) -> None:
        """Finds what follows each node that is no function."""
        for node in self._waiting:
            if node.origin == FIELD:
                for target in self.facts.in_slot(node.kind, node.number):
                    self._by_target[target].add(node)
        while self._waiting:
            node = self._waiting.pop()
            self.following[node] |= self._targets(node)

    def _node(self, caller: int, origin: Origin, kind: Kind) -> Node | None:
        """Returns the node for a pointer of this origin in a function, as a function of this kind."""
        if origin.kind in (CONSTANT, SYMBOL, FIXED):
            function = self.facts.pointed_to(origin)
            if function is not None and self.facts.kinds[function] == kind:
                return function
        if origin.kind in (FIELD, FIXED):
            return self._known(_Pointer(origin.kind, kind, origin.number))
        return self._known(_Pointer(PARAMETER, kind, origin.number, caller)) if origin.kind == PARAMETER else None

    def _known(self, node: _Pointer) -> _Pointer:
        if node not in self.following:
            self.following[node] = set()
            self._waiting.append(node)
        return node

    def _targets(self, pointer: _Pointer) -> set[Node]:
        kind, number = pointer.kind, pointer.number
        if pointer.origin == FIELD:
            return set(self.facts.in_slot(kind, number))
        if pointer.origin == FIXED:
            return set(self.facts.of_kind(self.facts.stored.get(number, ()), kind))
        passed = (self._node(caller, origin, kind) for caller, origin in self._passed(pointer.function, number))
        return {other for other in passed if other is not None}

    def _passed(self, function: int, parameter: int) -> Iterator[tuple[int, Origin]]:
        """Yields what a function's callers pass for a parameter, each with the caller; if they call it by a pointer, only names."""
        for caller, call in self._callers[function]:
            for origin in call.arguments[parameter]:
                yield caller, origin
        for caller, call in (site for node in self._by_target[function] for site in self._sites[node]):
            for origin in call.arguments[parameter]:
                if origin.kind == SYMBOL:
                    yield caller, origin
