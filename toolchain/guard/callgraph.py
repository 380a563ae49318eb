"""Who can call whom in CPython, pointers to functions included, and in which circles.

What is called through a pointer is found as follows; `pointers.py` says where a pointer comes from.

 - A constant is the table's element; so is what the libraries' data has at a fixed address.
 - What is read from a structure at an offset is a slot of a type: all functions that a type of the libraries, or of a module's
   `PyType_Spec`, or a class of Python has at that offset, and what code stores at such an offset. Four words to one word is a vectorcall.
 - A parameter is what the callers pass, as far as they pass a function by name.
 - C methods, getters and setters are left out: the functions that call them check.

What no rule knows is an error. So is a circle, unless it is in `cpython.py`. That file also says why calls through other pointers
need not be followed: the callbacks of expat and of SQLite, allocators, converters of arguments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping

from toolchain.guard.pointers import ADDRESS, CONSTANT, FIELD, FIXED, PARAMETER, SYMBOL, UNKNOWN, Call, Origin, Run
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import (
    DATA,
    FUNC_KIND,
    GLOBAL,
    GLOBAL_KIND,
    I32,
    FormatError,
    FunctionType,
    Module,
    Reader,
    constant,
)

RELOCATIONS = ".__wasm_apply_data_relocs"
"""How the exports end that write addresses into the libraries' data."""

Node = Hashable
Kind = tuple[bytes, bytes]

# The layout of CPython's structures (Include/cpython/object.h, Include/typeslots.h), for pointers of four bytes: the slots of a type
# that hold functions; where it refers to further tables of them, and their sizes; the offsets that the ids of a PyType_Spec stand for.
_SLOTS = (24, 32, 36, 44, 60, 64, 68, 72, 76, 92, 96, 100, 108, 112, 136, 140, 148, 152, 156, 160, 164, 200, 204)
_TYPE, _NAME, _ATTRIBUTE, _VECTORCALL = 4, 12, 72, 204
_TABLES = {40: 16, 48: 144, 52: 40, 56: 12, 80: 8}
_NUMBER_IDS = "7 36 29 34 10 33 30 32 6 9 27 28 35 8 38 31 26 0 11 14 23 18 21 20 17 22 15 25 19 12 37 16 24 13 75 76"
_IDS = {int(i): 4 * n for n, i in enumerate(_NUMBER_IDS.split()) if i != "0"}
_IDS |= {52: 24, 57: 32, 68: 36, 66: 44, 59: 60, 50: 64, 70: 68, 58: 72, 69: 76, 71: 92, 51: 96, 67: 100, 62: 108}
_IDS |= {63: 112, 54: 136, 55: 140, 60: 148, 47: 152, 65: 156, 74: 160, 61: 164, 80: 200, 82: 204, 1: 0, 2: 4, 3: 8}
_IDS |= {4: 0, 5: 4, 77: 0, 78: 4, 79: 8, 81: 12, 39: 20, 40: 4, 41: 28, 42: 32, 43: 36, 44: 12, 45: 0, 46: 8}
# Where a class of Python has those tables, and where it ends; what typeobject.c keeps such an offset with: a wrapper.
_HEAP_TABLES = (212, 228, 372, 384, 424, 432)
_WRAPPERS = (8, 12)
_VECTORCALL_KIND: Kind = (bytes([I32] * 4), bytes([I32]))


def circles(nodes: Collection[Node], following: Callable[[Node], Iterable[Node]]) -> list[list[Node]]:
    """Returns the strongly connected components that are circles (Tarjan's algorithm)."""
    index: dict[Node, int] = {}
    low: dict[Node, int] = {}
    waiting: list[Node] = []
    inside: set[Node] = set()
    found = []
    for root in nodes:
        if root in index:
            continue
        path: list[tuple[Node, Iterator[Node]]] = []

        def enter(node: Node, path: list[tuple[Node, Iterator[Node]]] = path) -> None:
            index[node] = low[node] = len(index)
            waiting.append(node)
            inside.add(node)
            path.append((node, iter(following(node))))

        enter(root)
        while path:
            node, rest = path[-1]
            for other in rest:
                if other not in index and other in nodes:
                    enter(other)
                    break
                if other in inside:
                    low[node] = min(low[node], index[other])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == index[node]:
                    start = waiting.index(node)
                    component = waiting[start:]
                    del waiting[start:]
                    inside.difference_update(component)
                    if len(component) > 1 or node in following(node):
                        found.append(component)
    return found


class _Data:
    """The libraries' data: what is written into it when they are loaded, and the words that it has before."""

    def __init__(self, module: Module, relocated: Iterable[Run]) -> None:
        self.pointers: dict[int, int] = {}
        for run in relocated:
            for store in run.stores:
                if len(store.address) == len(store.value) == 1:
                    (address,), (value,) = store.address, store.value
                    if {address.kind, value.kind} <= {CONSTANT, SYMBOL}:
                        self.pointers[address.number + store.offset] = value.number
        self._segments = []
        reader = Reader(module.get(DATA))
        for _ in reader.repeat():
            if reader.u32():
                raise FormatError("a data segment that is not active")
            start = constant(reader.expression())
            self._segments.append((start, reader.take(reader.u32())))
        self._segments.sort()

    def word(self, address: int) -> int | None:
        """Returns the number at an address; None for an address, and for what is in no segment."""
        if address in self.pointers:
            return None
        return next(
            (
                int.from_bytes(data[address - start : address - start + 4], "little")
                for start, data in self._segments
                if start <= address < start + len(data)
            ),
            0,
        )


def _value(expression: bytes, constants: Mapping[int, int]) -> int | None:
    reader = Reader(expression)
    opcode = reader.u8()
    if opcode == wasm.I32_CONST:
        return reader.signed()
    return constants.get(reader.u32()) if opcode == wasm.GLOBAL_GET else None


def _table(module: Module, constants: Mapping[int, int]) -> dict[int, int]:
    table: dict[int, int] = {}
    for offset, functions in module.elements():
        start = _value(offset, constants)
        if start is None:
            raise FormatError("elements at a place that is not known")
        table.update(enumerate(functions, start))
    return table


def _constants(module: Module, stack_pointer: int) -> dict[int, int]:
    """Returns the globals that hold a number for good: addresses, which the merge has put there."""
    known: dict[int, int] = {}
    reader = Reader(module.get(GLOBAL))
    imported = sum(i.kind == GLOBAL_KIND for i in module.imports())
    for index in range(imported, imported + reader.u32()):
        reader.take(2)
        number = _value(reader.expression(), known)
        if number is not None and index != stack_pointer:
            known[index] = number
    return known


class CallGraph:
    """The calls of a merged module: functions by index, and between them nodes that stand for a kind of pointer."""

    def __init__(self, module: Module, stack_pointer: int, unfollowed: Callable[[int], bool]) -> None:
        self.kinds = [(bytes(t.parameters), bytes(t.results)) for t in module.function_types()]
        self._constants = _constants(module, stack_pointer)
        self.runs = _runs(module, self._constants)
        self.table = _table(module, self._constants)
        relocations = {e.index for e in module.exports() if e.name.endswith(RELOCATIONS) and e.kind == FUNC_KIND}
        self._data = _Data(module, (self.runs[index] for index in relocations))
        self.slots: dict[int, set[int]] = defaultdict(set)
        self._stored: dict[int, set[int]] = defaultdict(set)
        self.unknown: set[int] = set()
        self._read_types(module)
        self._read_stores(relocations)
        self.following: dict[Node, set[Node]] = defaultdict(set)
        self._callers: dict[int, list[tuple[int, Call]]] = defaultdict(list)
        self._sites: dict[Node, list[tuple[int, Call]]] = defaultdict(list)
        self._by_target: dict[int, set[Node]] = defaultdict(set)
        self._waiting: list[Node] = []
        self._follow(unfollowed)

    # ---- the slots of types

    def _function(self, address: int) -> int | None:
        return self.table.get(self._data.pointers.get(address, -1))

    def _put(self, address: int, offset: int) -> None:
        function = self._function(address)
        if function is not None:
            self.slots[offset].add(function)

    def _read_types(self, module: Module) -> None:
        """Finds the types in the data: they have a name, and `type` for their type or the usual way to get an attribute."""
        pointers = self._data.pointers
        known: set[int] = set()
        types = self._addresses(module, ":PyType_Type")
        names = module.function_names()
        attribute = {i for i, function in self.table.items() if names.get(function) == "PyObject_GenericGetAttr"}
        for address, value in pointers.items():
            for values, offset in ((types, _TYPE), (attribute, _ATTRIBUTE)):
                if value in values and address - offset + _NAME in pointers:
                    known.add(address - offset)
        for base in known:
            for offset in _SLOTS:
                self._put(base + offset, offset)
            for table, size in _TABLES.items():
                if (start := pointers.get(base + table)) is not None:
                    for offset in range(0, size, 4):
                        self._put(start + offset, offset)
        for address in pointers:
            if self._function(address) is not None:
                self._read_definition(address)

    def _addresses(self, module: Module, name: str) -> set[int]:
        found = [e.index for e in module.exports() if e.kind == GLOBAL_KIND and e.name.endswith(name)]
        return {self._constants[index] for index in found if index in self._constants}

    def _read_definition(self, address: int) -> None:
        """Reads an entry of a `PyType_Spec`, or of typeobject.c's own list, which says where classes of Python have their slots."""
        pointers, word = self._data.pointers, self._data.word(address - 4)
        if word is None:
            return
        named = address - 8 in pointers and self._function(address - 8) is None
        if named and word < _HEAP_TABLES[-1] and self._function(address + 4) is not None:
            tables = [base for base in _HEAP_TABLES[:-1] if base <= word < _HEAP_TABLES[-1]]
            self._put(address, word - max(tables, default=0))
            for offset in _WRAPPERS:
                self._put(address + 4, offset)
        elif word in _IDS and any(
            address + step in pointers and 0 < (self._data.word(address + step - 4) or 0) < 84 for step in (-8, 8)
        ):
            self._put(address, _IDS[word])

    def _read_stores(self, relocations: set[int]) -> None:
        """Finds what code stores at an offset."""
        for index, run in self.runs.items():
            for store in run.stores if index not in relocations else ():
                functions = {self.table[o.number] for o in store.value if o.kind == SYMBOL and o.number in self.table}
                for origin in store.address if functions else ():
                    offset = store.offset + (origin.number if origin.kind in (ADDRESS, CONSTANT, SYMBOL) else 0)
                    self._stored[offset] |= functions

    # ---- calls

    def _follow(self, unfollowed: Callable[[int], bool]) -> None:
        for index, run in self.runs.items():
            for call in run.calls:
                if isinstance(call.callee, int):
                    self.following[index].add(call.callee)
                    self._callers[call.callee].append((index, call))
                elif not unfollowed(index):
                    kind = (bytes(call.type.parameters), bytes(call.type.results))
                    for origin in call.callee:
                        if origin == UNKNOWN:
                            self.unknown.add(index)
                        node = self._node(index, origin, kind)
                        if node is not None:
                            self.following[index].add(node)
                            if not isinstance(node, int):
                                self._sites[node].append((index, call))
        for node in list(self._waiting):
            if isinstance(node, tuple) and node[0] == FIELD:
                for target in self._slot_functions(node[1], node[2]):
                    self._by_target[target].add(node)
        while self._waiting:
            node = self._waiting.pop()
            self.following[node] |= self._targets(node)

    def _node(self, index: int, origin: Origin, kind: Kind) -> Node | None:
        """Returns the node for a pointer of this origin in a function, as a function of this kind."""
        node: Node
        if origin.kind in (CONSTANT, SYMBOL):
            function = self.table.get(origin.number)
            return function if function is not None and self.kinds[function] == kind else None
        if origin.kind == FIXED:
            function = self.table.get(self._data.pointers.get(origin.number, -1))
            if function is not None and self.kinds[function] == kind:
                return function
            node = (FIXED, kind, origin.number)
        elif origin.kind == FIELD:
            node = (FIELD, kind, origin.number)
        elif origin.kind == PARAMETER:
            node = (PARAMETER, kind, index, origin.number)
        else:
            return None
        if node not in self.following:
            self.following[node] = set()
            self._waiting.append(node)
        return node

    def _slot_functions(self, kind: Kind, offset: int) -> set[int]:
        found = self.slots[offset] | self._stored[offset]
        if kind == _VECTORCALL_KIND:
            found = found.union(self.slots[_VECTORCALL], *self._stored.values())
        return {function for function in found if self.kinds[function] == kind}

    def _targets(self, node: Node) -> set[Node]:
        assert isinstance(node, tuple)
        what, kind, number = node[:3]
        if what == FIELD:
            return set(self._slot_functions(kind, number))
        if what == FIXED:
            return {function for function in self._stored[number] if self.kinds[function] == kind}
        passed: set[Node | None] = set()
        sites = [site for caller in self._by_target[number] for site in self._sites[caller]]
        for callers, is_direct in ((self._callers[number], True), (sites, False)):
            for caller, call in callers:
                for origin in call.arguments[node[3]]:
                    if is_direct or origin.kind == SYMBOL:
                        passed.add(self._node(caller, origin, kind))
        return {other for other in passed if other is not None}


def _runs(module: Module, constants: Mapping[int, int]) -> dict[int, Run]:
    types, functions = module.types(), list(module.function_types())
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    own: list[FunctionType] = functions[imported:]
    return {imported + n: Run(body, own[n], types, functions, constants) for n, body in enumerate(module.bodies())}
