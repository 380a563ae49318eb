"""Finds what only some of CPython's modules of C need: functions, and data that is never written.

It begins with what is always there: what the boundary exports, and what CPython starts with. From there it follows calls, the functions
whose elements code names, and the data whose addresses code names, to the pointers in that data. Then it does the same from the function
that starts each module, which `PyImport_Inittab` names. A function that is reached from some modules only is theirs.

Where an object of C begins and ends is known of CPython's tables (`tables.py`). What lies between two of them counts as one object: a
name of any address in it reaches all of its pointers. So nothing is taken for unreached if one of the addresses in its object is named.
An object with pointers that nothing reaches is zeroed with the functions, for nothing that runs has its address.

Some functions ask whether a module is there before they go on (`cpython/compiler.py`). What they lead to is that module's.

Data without pointers is looked at by the addresses that are named in it. A stretch goes from one to the next. It belongs to whoever names
an address in it or within `_NEAR` bytes before it, for a name can be that of an entry in a table. Only small tables are shared by modules.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolchain.cpython import compiler
from toolchain.guard.callgraph import CallGraph
from toolchain.guard.data import Data, read_table
from toolchain.runtime.tables import Tables
from toolchain.vm.builtins import Builtins, Owned
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import FUNC_KIND, FormatError, Module
from toolchain.wasm.instructions import find, read_body

_NEAR = 4096
_BEFORE = 1024
"""So far before an array its name can be, if that is a guess (`pointers.Run`): of one that is counted from a letter on."""

Place = tuple[int, int, bool]
"""A piece of data: the segment, the number of the table in it or before it, and whether it is the table."""

Node = int | Place
"""A function's index, or a piece of data."""

Modules = frozenset[str] | None
"""The modules that need something, or None for what is always needed."""


@dataclass(frozen=True)
class Owners:
    """Who needs what in a flat module."""

    starts: Mapping[str, int]
    """The functions that start modules."""

    functions: Mapping[int, Modules]
    """Of each function."""

    elements: Mapping[int, int]
    """The function of each element of the table."""

    data: Sequence[tuple[int, int, frozenset[str]]]
    """Stretches of data that not everybody needs."""

    entries: Collection[int] = ()
    """The functions that ask for the compiler before they go on."""


def owners(
    graph: CallGraph,
    elements: Mapping[int, int],
    types: Iterable[int],
    inittab: int,
    always: Collection[int],
    entries: Collection[int] = (),
) -> Owners:
    """Returns who needs what.

    Args: the calls of the flat module; the function of each element; the addresses of types; that of `PyImport_Inittab`; the functions
    that are always needed; those that ask for the compiler before they go on.
    """
    starts = dict(_starts(graph.data, elements, inittab))
    reaching = _Reaching(graph, elements, types, {entry for entry, _ in starts.values()}, entries)
    base = reaching.reach([*always, *entries], frozenset())
    behind = {compiler.MODULE: [*reaching.behind_entries()]}
    by_module = {
        name: reaching.reach([function, *behind.get(name, ())], base) for name, (_, function) in starts.items()
    }
    found: dict[Node, set[str]] = defaultdict(set)
    for name, nodes in by_module.items():
        for node in nodes:
            found[node].add(name)

    def who(node: Node) -> Modules:
        return None if node in base else frozenset(found.get(node, ()))

    return Owners(
        {name: function for name, (_, function) in starts.items()},
        {function: who(function) for function in graph.runs},
        elements,
        [
            *_stretches(graph.data, _who_names(reaching.named, who), _who_names(reaching.guessed, who)),
            *_objects(reaching, who),
        ],
        entries,
    )


def _who_names(nodes: Mapping[int, Iterable[Node]], who: Callable[[Node], Modules]) -> dict[int, Modules]:
    return {address: _together(map(who, naming)) for address, naming in nodes.items()}


def _starts(data: Data, elements: Mapping[int, int], inittab: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yields the modules of CPython's list, each with where it says which function starts it, and that function."""
    entry = data.pointers[inittab]
    while (name := data.pointers.get(entry)) is not None:
        function = elements.get(data.pointers.get(entry + 4, -1))
        if function is not None:
            yield data.text(name), (entry + 4, function)
        entry += 8


class _Reaching:
    def __init__(
        self,
        graph: CallGraph,
        elements: Mapping[int, int],
        types: Iterable[int],
        ignored: Collection[int],
        entries: Collection[int],
    ) -> None:
        self._graph, self._elements, self._entries = graph, elements, entries
        self._segments = [start for start, _ in graph.data.segments]
        symbols = {symbol for run in graph.runs.values() for symbol in run.symbols if symbol >= self._segments[0]}
        self._tables = Tables(graph.data, elements, symbols, types)
        self._pointers: dict[Node, list[int]] = defaultdict(list)
        self.named: dict[int, set[Node]] = defaultdict(set)
        """Who names each address: functions, or pieces of data."""
        self.guessed: dict[int, set[Node]] = defaultdict(set)
        """Who may name each address."""
        for address, value in graph.data.pointers.items():
            if address not in ignored:
                self._pointers[self._place(address)].append(value)
                self.named[value].add(self._place(address))
        for function, run in graph.runs.items():
            for symbol in run.symbols & symbols:
                self.named[symbol].add(function)
            for guess in run.guesses:
                self.guessed[guess].add(function)

    def _place(self, address: int) -> Place:
        number, inside = self._tables.place(address)
        return bisect.bisect_right(self._segments, address) - 1, number, inside

    def objects(self) -> Iterator[tuple[int, int, Place]]:
        """Yields the objects with pointers: where they begin and end, and the nodes that they are."""
        for segment, (begin, content) in enumerate(self._graph.data.segments):
            end = begin + len(content)
            for start, following, number, inside in self._tables.between(begin, end):
                node = segment, number, inside
                if node in self._pointers:
                    yield start, following, node

    def behind_entries(self) -> Iterator[Node]:
        """Yields what the functions lead to that ask."""
        for entry in self._entries:
            yield from self._led_to_by(entry)

    def reach(self, roots: Iterable[Node], known: Collection[Node]) -> set[Node]:
        """Returns what is reached, without what is known to be."""
        found: set[Node] = set()
        todo: list[Node] = [*roots]
        while todo:
            node = todo.pop()
            if node not in found and node not in known:
                found.add(node)
                todo += self._following(node)
        return found

    def _following(self, node: Node) -> Iterator[Node]:
        if isinstance(node, int):
            if node not in self._entries:
                yield from self._led_to_by(node)
        else:
            for value in self._pointers.get(node, ()):
                yield from self._led_to(value)

    def _led_to_by(self, function: int) -> Iterator[Node]:
        run = self._graph.runs.get(function)
        if run is not None:
            yield from (call.callee for call in run.calls if isinstance(call.callee, int))
            for symbol in run.symbols | run.guesses:
                yield from self._led_to(symbol)

    def _led_to(self, number: int) -> Iterator[Node]:
        if number in self._elements:
            yield self._elements[number]
        elif number >= self._segments[0]:
            segment, table, inside = self._place(number)
            yield segment, table, inside
            # A name can be some entries before what it is of: of an array that is counted from one, or from a letter.
            yield segment, table, False


def _together(all_modules: Iterable[Modules]) -> Modules:
    found: set[str] = set()
    for modules in all_modules:
        if modules is None:
            return None
        found |= modules
    return frozenset(found)


def _objects(reaching: _Reaching, who: Callable[[Node], Modules]) -> Iterator[tuple[int, int, frozenset[str]]]:
    """Yields the objects with pointers that not everybody needs."""
    named = sorted({*reaching.named, *reaching.guessed})
    for begin, end, node in reaching.objects():
        # It may be named by an address before it, too.
        near = [] if node[2] else _between(named, begin - _BEFORE, begin)
        namers = (namer for at in near for found in (reaching.named, reaching.guessed) for namer in found.get(at, ()))
        modules = _together(map(who, (node, *namers)))
        if modules is not None:
            yield begin, end, modules


def _stretches(
    data: Data, named: Mapping[int, Modules], guessed: Mapping[int, Modules]
) -> Iterator[tuple[int, int, frozenset[str]]]:
    """Yields the stretches of data without pointers that not everybody needs."""
    pointers, guesses = sorted(data.pointers), sorted(guessed)
    for start, content in data.segments:
        end = start + len(content)
        places = sorted(address for address in named if start <= address < end)
        always, near = start - _NEAR, list[tuple[int, Modules]]()
        for begin, following in zip(places, [*places, end][1:], strict=True):
            near = [*((at, modules) for at, modules in near if at > begin - _NEAR), (begin, named[begin])]
            if named[begin] is None:
                always = begin
                continue
            begin = max(begin, always + _NEAR)
            may_name = (guessed[guess] for guess in _between(guesses, begin - _BEFORE, following))
            modules = _together((*(who for at, who in near if at > always), *may_name))
            if begin < following and modules is not None and not _between(pointers, begin - 3, following):
                yield begin, following, modules


def _between(numbers: Sequence[int], begin: int, end: int) -> Sequence[int]:
    return numbers[bisect.bisect_left(numbers, begin) : bisect.bisect_left(numbers, end)]


def in_runtime(found: Owners, flat: Module, runtime: Module, names: Mapping[int, str], refusal: str) -> Builtins:
    """Returns the same of the runtime which became of the flat module: the optimiser put functions into others, and made one of some.

    `names` are those of the runtime's functions, and `refusal` is the one that starts a module which is always refused.
    """
    before = {name: index for index, name in flat.function_names().items()}
    indices = {name: index for index, name in names.items()}
    if len(before) != len(flat.function_names()) or len(indices) != len(names):
        raise FormatError("two functions have one name")
    imported = sum(i.kind == FUNC_KIND for i in runtime.imports())
    count = imported + len(runtime.bodies())
    needed = {index: found.functions.get(before.get(names.get(index, ""), -1)) for index in range(count)}
    for element, function in read_table(runtime, {}).items():
        needed[function] = _together((needed[function], found.functions.get(found.elements.get(element, -1))))
    _follow(needed, runtime, imported, {indices[flat.function_names()[entry]] for entry in found.entries})
    starts = {name: indices[flat.function_names()[function]] for name, function in found.starts.items()}
    groups: dict[frozenset[str], tuple[list[int], list[tuple[int, int]]]] = defaultdict(lambda: ([], []))
    for index, modules in sorted(needed.items()):
        if modules is not None:
            groups[modules][0].append(index)
    for begin, end, modules in found.data:
        groups[modules][1].append((begin, end))
    owned = [Owned(modules, *groups[modules]) for modules in sorted(groups, key=sorted)]
    return Builtins(starts, indices[refusal], owned)


def _follow(needed: dict[int, Modules], runtime: Module, imported: int, entries: Collection[int]) -> None:
    """Whoever needs a function needs what it calls, but for functions that ask first."""
    calls = {
        index: {place.operands[0] for place in find(read_body(body).code, {wasm.CALL})}
        for index, body in enumerate(runtime.bodies(), imported)
        if index not in entries
    }
    todo = list(calls)
    while todo:
        caller = todo.pop()
        for callee in calls.get(caller, ()):
            together = _together((needed[callee], needed[caller]))
            if together != needed[callee]:
                needed[callee] = together
                todo.append(callee)
