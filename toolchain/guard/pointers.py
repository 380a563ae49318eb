"""Where the index of an indirect call comes from: an abstract run of a function's body.

The run follows values only as far as a pointer to a function needs: it may be a constant, be read from a structure at some offset or from
a fixed address, or be a parameter. What comes in any other way is `UNKNOWN`, and may be any function of the call's type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import FunctionType
from toolchain.wasm.instructions import Instruction, read_body, read_instructions


class Origin(NamedTuple):
    """Where a number comes from: a kind of the constants below, and a constant, an offset, an address or a parameter's index."""

    kind: str
    number: int = 0


CONSTANT, SYMBOL, FIELD, FIXED, PARAMETER, ADDRESS = "constant", "symbol", "field", "fixed", "parameter", "address"
UNKNOWN = Origin("unknown")
_NOTHING: frozenset[Origin] = frozenset()
_ANY = frozenset({UNKNOWN})
_KNOWN = frozenset({CONSTANT, SYMBOL})
_ARITHMETIC: Mapping[int, Callable[[int, int], int]] = {
    wasm.I32_ADD: int.__add__,
    wasm.I32_SUB: int.__sub__,
    wasm.I32_OR: int.__or__,
}
_NO_RESULT = -0x40  # as a block's type
_MANY = 12  # a value of more origins than this is as good as unknown
NO_BASES: Mapping[int, int] = {}
"""Those of code that is in no library."""

Value = frozenset[Origin]
"""Where a number may come from: one origin, or several where ways meet."""

State = dict[int, Value]
"""What the locals hold."""

Rounds = dict[int, dict[int, Value]]
"""The bases that locals hold when another round of a loop begins, by where the loop does."""


class Call(NamedTuple):
    """A call: its callee's index or, if it is indirect, the origins of its index; its type; the origins of its arguments."""

    callee: int | Value
    type: FunctionType
    arguments: list[Value]


class Store(NamedTuple):
    """A number written to memory: the origins of the address, the offset, the origins of the number."""

    address: Value
    offset: int
    value: Value


class _Label:
    """A block that is open: where it begins, how deep the stack of values is below it, and the states in which it can be left."""

    def __init__(self, opcode: int, at: int, height: int, results: int, before: State) -> None:
        self.opcode, self.at, self.height, self.results, self.before = opcode, at, height, results, before
        self.exits: list[State] = []


class Run(NamedTuple):
    """What one function does, as far as it is of interest."""

    calls: list[Call]
    stores: list[Store]
    offsets: set[int]
    """At which offsets it loads from what it is given."""

    symbols: set[int]
    """The addresses and elements that it names: globals that hold a number for good, and sums of such a number and a constant.

    A base names nothing if all that is done with it is to add constants.
    """

    guesses: set[int]
    """What else it may name, where such a sum cannot be followed: there is one with each constant of its code."""


def run(
    body: bytes,
    type_: FunctionType,
    types: list[FunctionType],
    functions: list[FunctionType],
    constants: Mapping[int, int],
    bases: Mapping[int, int] = NO_BASES,
) -> Run:
    """Runs a function's body.

    Args: the body and its type; the module's types; those of its functions; the globals that hold a number for good; the numbers of them
    to which a library adds the places of what is its own, each with the end of what such a sum can be.
    """
    code = list(read_instructions(read_body(body).code))
    rounds: Rounds = {}
    while True:
        running = _Running(code, type_, types, functions, constants, frozenset(bases), rounds)
        for at, instruction in enumerate(code):
            running.step(at, instruction)
        if running.rounds == rounds:
            break
        # A loop is entered with what its rounds leave behind, too.
        rounds = running.rounds
    for base in running.lost:
        sums = (base + number for number in (0, *_numbers(code)))
        running.done.guesses.update(number for number in sums if number < bases[base])
    return running.done


def _numbers(code: list[Instruction]) -> Iterator[int]:
    """Yields what could be added to a base: the constants of code, and the offsets of loads and stores."""
    for opcode, operands in code:
        if opcode == wasm.I32_CONST:
            yield operands[0]
        elif opcode in wasm.LOADS or opcode in wasm.STORES:
            yield operands[1]


def _set_in_loops(code: list[Instruction]) -> dict[int, set[int]]:
    """Returns for each loop, by where it begins, the locals that are set in it."""
    found: dict[int, set[int]] = {}
    nest: list[tuple[int, set[int]]] = []
    for at, (opcode, operands) in enumerate(code):
        if opcode in (wasm.BLOCK, wasm.LOOP, wasm.IF):
            nest.append((at, set()))
        elif opcode in (wasm.LOCAL_SET, wasm.LOCAL_TEE) and nest:
            nest[-1][1].add(operands[0])
        elif opcode == wasm.END and nest:
            start, own = nest.pop()
            found[start] = own
            if nest:
                nest[-1][1].update(own)
    return {at: own for at, own in found.items() if code[at].opcode == wasm.LOOP}


class _Running:
    """A run at some instruction: what the locals and the stack hold, and the blocks that are open."""

    def __init__(
        self,
        code: list[Instruction],
        type_: FunctionType,
        types: list[FunctionType],
        functions: list[FunctionType],
        constants: Mapping[int, int],
        bases: frozenset[int],
        rounds: Rounds,
    ) -> None:
        self.types, self.functions, self.constants = types, functions, constants
        self.done = Run([], [], set(), set(), set())
        self._bases = frozenset(Origin(SYMBOL, base) for base in bases)
        self._rounds_before = rounds
        self.rounds: Rounds = {}
        self.lost: set[int] = set()
        """The bases of which not all sums were seen."""
        # None where the code cannot be reached: behind a branch, a return or `unreachable`.
        self._state: State | None = {i: frozenset({Origin(PARAMETER, i)}) for i in range(len(type_.parameters))}
        self._stack: list[Value] = []
        self._labels = [_Label(wasm.BLOCK, -1, 0, len(type_.results), {})]
        self._set_in_loops = _set_in_loops(code)

    def _lose(self, values: Iterable[Value]) -> None:
        self.lost.update(origin.number for value in values for origin in self._bases & value)

    def _use(self, values: Iterable[Value]) -> None:
        """Notes the bases that are used as they are."""
        self.done.symbols.update(origin.number for value in values for origin in self._bases & value)

    def _limited(self, value: Value) -> Value:
        return value if len(value) <= _MANY else _ANY | (self._bases & value)

    def _joined(self, states: Iterable[State]) -> State:
        first, *others = states
        joined = dict(first)
        for state in others:
            for local, value in state.items():
                if (old := joined.get(local)) is not value:
                    joined[local] = value if old is None else self._limited(old | value)
        return joined

    def _pop(self, count: int = 1) -> list[Value]:
        floor = self._labels[-1].height if self._labels else 0
        taken = [self._stack.pop() if len(self._stack) > floor else _ANY for _ in range(count)]
        return taken[::-1]

    def _leave(self, depth: int) -> None:
        if self._state is not None and depth < len(self._labels):
            label = self._labels[-1 - depth]
            if label.opcode != wasm.LOOP:
                label.exits.append(dict(self._state))
                return
            for local in self._set_in_loops[label.at]:
                if bases := self._bases & self._state.get(local, _NOTHING):
                    held = self.rounds.setdefault(label.at, {})
                    held[local] = held.get(local, _NOTHING) | bases

    def step(self, at: int, instruction: Instruction) -> None:
        """Carries out the next instruction, which begins at a place of the code."""
        opcode, operands = instruction
        if opcode in (wasm.BLOCK, wasm.LOOP, wasm.IF):
            self._open(at, opcode, operands[0])
        elif opcode == wasm.ELSE:
            self._else()
        elif opcode == wasm.END:
            self._close()
        elif opcode in (wasm.BR, wasm.BR_IF, wasm.BR_TABLE):
            self._branch(opcode, operands)
        elif opcode in (wasm.RETURN, wasm.UNREACHABLE):
            self._state = None
        else:
            self._compute(opcode, operands)

    def _open(self, at: int, opcode: int, kind: int) -> None:
        if opcode == wasm.IF:
            self._pop()
        if self._state is not None:
            # What a loop sets may come from an earlier round, so it may be anything. Of bases it is known which.
            earlier = self._rounds_before.get(at, {})
            for local in self._set_in_loops.get(at, ()):
                bases = self._bases & self._state.get(local, _NOTHING)
                self._state[local] = _ANY | bases | earlier.get(local, _NOTHING)
        results = 0 if kind == _NO_RESULT else len(self.types[kind].results) if kind >= 0 else 1
        self._labels.append(_Label(opcode, at, len(self._stack), results, dict(self._state or {})))

    def _else(self) -> None:
        label = self._labels[-1]
        if self._state is not None:
            label.exits.append(self._state)
        self._state, label.opcode = dict(label.before), wasm.BLOCK
        self._lose(self._stack[label.height :])
        del self._stack[label.height :]

    def _branch(self, opcode: int, depths: tuple[int, ...]) -> None:
        if opcode != wasm.BR:
            self._pop()
        self._lose(self._stack[-1:])
        for depth in depths:
            self._leave(depth)
        if opcode != wasm.BR_IF:
            self._state = None

    def _close(self) -> None:
        label = self._labels.pop()
        states = label.exits + ([self._state] if self._state is not None else [])
        if label.opcode == wasm.IF:
            states.append(label.before)
        self._state = self._joined(states) if states else None
        self._lose(self._stack[label.height :])
        del self._stack[label.height :]
        self._stack += [_ANY] * label.results

    def _compute(self, opcode: int, operands: tuple[int, ...]) -> None:
        stack = self._stack
        if opcode in (wasm.CALL, wasm.CALL_INDIRECT):
            self._call(opcode == wasm.CALL, operands[0])
        elif opcode == wasm.LOCAL_GET:
            self._get(operands[0])
        elif opcode in (wasm.LOCAL_SET, wasm.LOCAL_TEE):
            self._set(opcode, operands[0])
        elif opcode == wasm.GLOBAL_GET and operands[0] in self.constants:
            symbol = Origin(SYMBOL, self.constants[operands[0]])
            stack.append(frozenset({symbol}))
            if symbol not in self._bases:
                self.done.symbols.add(symbol.number)
        elif opcode == wasm.I32_CONST:
            stack.append(frozenset({Origin(CONSTANT, operands[0])}))
        elif opcode in wasm.LOADS:
            stack.append(self._loaded(self._pop()[0], operands[1]))
        elif opcode in wasm.STORES:
            address, value = self._pop(2)
            self._use([value])
            self.done.stores.append(Store(address, operands[1], value))
            self.done.symbols.update(origin.number + operands[1] for origin in address if origin.kind == SYMBOL)
        elif opcode in _ARITHMETIC:
            left, right = self._pop(2)
            stack.append(_combined(opcode, left, right))
            self._name_sums(opcode, left, right)
        elif opcode in (wasm.SELECT, wasm.SELECT_TYPED):
            one, other, _ = self._pop(3)
            stack.append(self._limited(one | other))
        else:
            self._move(opcode)

    def _name_sums(self, opcode: int, left: Value, right: Value) -> None:
        """Notes the symbols that are a sum of one and a constant."""
        for one in left:
            for other in right:
                if SYMBOL in (one.kind, other.kind) and {one.kind, other.kind} <= _KNOWN:
                    self.done.symbols.add(_ARITHMETIC[opcode](one.number, other.number))
                else:
                    self._lose([frozenset({one, other})])

    def _get(self, local: int) -> None:
        self._stack.append((self._state or {}).get(local, _ANY))

    def _call(self, direct: bool, number: int) -> None:
        """Notes a call: of a function by its index, or through a pointer of a type by its index."""
        called = self.functions[number] if direct else self.types[number]
        callee = number if direct else self._pop()[0]
        arguments = self._pop(len(called.parameters))
        self._use(arguments if isinstance(callee, int) else [callee, *arguments])
        self.done.calls.append(Call(callee, called, arguments))
        self._stack += [_ANY] * len(called.results)

    def _set(self, opcode: int, local: int) -> None:
        value = self._pop()[0]
        if self._state is not None:
            self._state[local] = value
        if opcode == wasm.LOCAL_TEE:
            self._stack.append(value)

    def _move(self, opcode: int) -> None:
        """Takes and gives as many values as the instruction does, of which nothing is known."""
        if opcode in wasm.BINARY:
            taken, given = 2, 1
        elif opcode in wasm.UNARY or opcode in wasm.TRUNCATE_SATURATED or opcode == wasm.MEMORY_GROW:
            taken, given = 1, 1
        elif opcode in (wasm.DROP, wasm.GLOBAL_SET):
            taken, given = 1, 0
        elif opcode in (wasm.MEMORY_COPY, wasm.MEMORY_FILL, wasm.MEMORY_INIT):
            taken, given = 3, 0
        else:
            taken, given = 0, int(opcode not in (wasm.NOP, wasm.DATA_DROP))
        self._use(self._pop(taken))
        self._stack += [_ANY] * given

    def _loaded(self, address: Value, offset: int) -> Value:
        found = set()
        for origin in address:
            if origin.kind in _KNOWN:
                found.add(Origin(FIXED, origin.number + offset))
                if origin.kind == SYMBOL:
                    self.done.symbols.add(origin.number + offset)
            else:
                found.add(Origin(FIELD, offset + (origin.number if origin.kind == ADDRESS else 0)))
        self.done.offsets.update(origin.number for origin in found if origin.kind == FIELD)
        return frozenset(found)


def _combined(opcode: int, left: Value, right: Value) -> Value:
    """Returns what a sum or the like is: a constant, or an address at an offset from one that is not known."""
    if len(left) == len(right) == 1:
        (one,), (other,) = left, right
        return frozenset({_combined_one(opcode, one, other)})
    numbers = [o.number for o in left | right if o.kind == CONSTANT]
    if opcode == wasm.I32_ADD and len(numbers) == 1:
        return frozenset({Origin(ADDRESS, numbers[0])})
    return _ANY


def _combined_one(opcode: int, one: Origin, other: Origin) -> Origin:
    kinds = {one.kind, other.kind}
    if kinds <= _KNOWN:
        return Origin(SYMBOL if SYMBOL in kinds else CONSTANT, _ARITHMETIC[opcode](one.number, other.number))
    if opcode == wasm.I32_ADD and kinds & _KNOWN:
        base, constant = (other, one) if one.kind in _KNOWN else (one, other)
        return Origin(ADDRESS, constant.number + (base.number if base.kind == ADDRESS else 0))
    return Origin(ADDRESS)
