"""Makes functions take as much of the shadow stack as they may take of the engine's: what CPython's guard counts is then both.

    before    f takes 0      of the shadow stack, and 208 of the engine's
    after     f takes 208    of the shadow stack, and 208 of the engine's, and CPython's guard sees it

A function is not charged if all that it calls soon comes to an end. A small one that only compiled code calls is charged to its callers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.cpython.recursion import BRIEF
from toolchain.guard.stackguard import LIMIT, take
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import END, block, branch, i32_const
from toolchain.wasm.format import FUNC_KIND, FormatError, FunctionType, Module, Reader
from toolchain.wasm.instructions import Instruction, read_body, read_instructions

# In bytes: what may come on top of the deepest stack, which LIMIT leaves room for; and what callers are charged for a function.
_SHALLOW = 1024
_SMALL = 192

_ALIGNMENT = 16


def frame_size(slots: int, size: int) -> int:
    """Returns how many bytes of the engine's stack a function may take: it has this many locals, and a body of this many bytes.

    For five functions out of six, V8's optimising compiler was measured to take less than this. For nearly all others it takes at most
    a quarter more.
    """
    estimate = min(64 + 8 * slots + size // 16, 1024)
    return -(-estimate // _ALIGNMENT) * _ALIGNMENT


def charge(module: Module, stack_pointer: int) -> None:
    """Makes functions take as much of the shadow stack as they, and what they call, may take of the engine's without being charged.

    Args: the optimised module, whose functions are what the engine will compile, with their names; the index of the shadow stack's
    pointer.
    """
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    brief = {index for index, name in module.function_names().items() if name in BRIEF}
    pairs = zip(module.bodies(), list(module.function_types())[imported:], strict=True)
    bodies = [
        _read(body, kind, stack_pointer, imported, index in brief) for index, (body, kind) in enumerate(pairs, imported)
    ]
    # What the host calls is called once; and componentize-py's exports pass results below the pointer.
    exported = {e.index - imported for e in module.exports() if e.kind == FUNC_KIND}
    in_tables = {index - imported for _, functions in module.elements() for index in functions}
    uncharged = _uncharged(bodies, exported | in_tables)
    charged = [
        body.body if index in exported or index in uncharged else body.charged(_below(body, uncharged))
        for index, body in enumerate(bodies)
    ]
    module.put_bodies(charged)


def _below(body: _Body, heights: Mapping[int, int]) -> int:
    """Returns how much the callees take at most, as far as they are in this table."""
    return max((heights.get(callee, 0) for callee in body.callees), default=0)


def _uncharged(bodies: Sequence[_Body], reachable: Collection[int]) -> dict[int, int]:
    """Returns the functions that need not be charged, each with what its callers are charged for it.

    `reachable` are those that are called by others than their callers in the module.
    """
    uncharged = dict.fromkeys(_shallow(bodies), 0)
    own = {index for index, body in enumerate(bodies) if body.takes_shadow_stack}
    undecided = set(range(len(bodies))) - uncharged.keys() - set(reachable) - own
    return uncharged | _charged_to_callers(bodies, undecided, uncharged)


def _shallow(bodies: Sequence[_Body]) -> Collection[int]:
    """Returns the functions that soon come to an end, with all that they call."""
    heights: dict[int, int] = {}
    waiting = {index for index, body in enumerate(bodies) if not body.calls_indirectly}
    while ready := [index for index in sorted(waiting) if bodies[index].callees <= heights.keys()]:
        waiting.difference_update(ready)
        for index in ready:
            height = bodies[index].frame + _below(bodies[index], heights)
            if height <= _SHALLOW:
                heights[index] = height
    return heights.keys()


def _charged_to_callers(bodies: Sequence[_Body], undecided: set[int], uncharged: Mapping[int, int]) -> dict[int, int]:
    """Returns the small ones of these functions: the paths that connections take are full of such.

    A function is decided after those that it calls. In a circle one has to pay.
    """
    found = dict(uncharged)
    while undecided:
        ready = [index for index in sorted(undecided) if not bodies[index].callees & undecided]
        for index in ready or [min(undecided)]:
            undecided.discard(index)
            whole = bodies[index].frame + _below(bodies[index], found)
            if ready and whole <= _SMALL:
                found[index] = whole
    return found


class _Placed(NamedTuple):
    """An instruction, and where in the body it begins."""

    instruction: Instruction
    start: int


def _read(body: bytes, kind: FunctionType, pointer: int, imported: int, brief: bool) -> _Body:
    """Reads a function's body; `brief` functions call nothing through pointers that calls further."""
    own, reader = read_body(body)
    frame = frame_size(len(kind.parameters) + len(own), len(body))
    start = reader.position
    code = list(_placed(reader))
    called = {i.operands[0] - imported for i, _ in code if i.opcode == wasm.CALL}
    return _Body(
        body,
        kind.results,
        pointer,
        frame,
        start,
        code,
        callees={index for index in called if index >= 0},
        calls_indirectly=not brief and any(i.opcode == wasm.CALL_INDIRECT for i, _ in code),
        takes_shadow_stack=any(i == (wasm.GLOBAL_GET, (pointer,)) for i, _ in code),
    )


def _placed(reader: Reader) -> Iterator[_Placed]:
    start = reader.position
    for instruction in read_instructions(reader):
        yield _Placed(instruction, start)
        start = reader.position


@dataclass(frozen=True)
class _Body:
    """A function's body, read."""

    body: bytes
    results: bytes
    """The types of its results."""

    pointer: int
    """The global that is the shadow stack's pointer."""

    frame: int
    """How much of the engine's stack it may take, in bytes."""

    start: int
    """Where its instructions begin."""

    code: Sequence[_Placed]
    callees: Set[int]
    """What it calls by index, without the imports, counted from the first function that is none."""

    calls_indirectly: bool
    takes_shadow_stack: bool

    @property
    def _checked_until(self) -> int:
        """Returns where the body goes on behind the check that it begins with, if it does."""
        if not (self._is(0, wasm.GLOBAL_GET, self.pointer) and self._is(1, wasm.I32_CONST, LIMIT)):
            return 0
        depth = 0
        for at, (instruction, _) in enumerate(self.code):
            depth += instruction.opcode in (wasm.BLOCK, wasm.LOOP, wasm.IF)
            depth -= instruction.opcode == wasm.END
            if instruction.opcode == wasm.END and not depth:
                return at + 1
        return 0

    def charged(self, below: int) -> bytes:
        """Returns the body with a frame on the shadow stack for its own on the engine's, and for this many bytes more."""
        if len(self.results) > 1:
            raise FormatError("a function with several results")
        frame = self.frame + below
        allocation = self._allocation()
        taken = 0 if allocation is None else self._number(allocation)
        if taken >= frame:
            return self.body
        if allocation is not None and (places := self._releases(allocation, taken)):
            return self._enlarged([allocation, *places], frame)
        return self._wrapped(frame - taken)

    def _is(self, at: int, opcode: int, *operands: int) -> bool:
        return self.code[at].instruction == (opcode, operands)

    def _number(self, at: int) -> int:
        return self.code[at].instruction.operands[0]

    def _allocation(self) -> int | None:
        """Returns where the size of the function's own frame stands, which it takes before it does anything else."""
        for at, placed in list(enumerate(self.code))[self._checked_until :]:
            opcode = placed.instruction.opcode
            if opcode in (wasm.BLOCK, wasm.LOOP, wasm.IF, wasm.CALL, wasm.CALL_INDIRECT):
                return None
            if self._is(at, wasm.GLOBAL_GET, self.pointer):
                number, subtract = self.code[at + 1].instruction, self.code[at + 2].instruction
                found = number.opcode == wasm.I32_CONST and subtract.opcode == wasm.I32_SUB
                return at + 1 if found else None
        return None

    def _releases(self, allocation: int, size: int) -> list[int]:
        """Returns where that size is added again; nothing unless the pointer moves in no other way."""
        every = range(self._checked_until, len(self.code))
        reads = [at for at in every if self._is(at, wasm.GLOBAL_GET, self.pointer)]
        writes = [at for at in range(len(self.code)) if self._is(at, wasm.GLOBAL_SET, self.pointer)]
        places = [
            at - 2
            for at in writes
            if at - 2 > allocation
            and self._is(at - 2, wasm.I32_CONST, size)
            and self.code[at - 1].instruction.opcode == wasm.I32_ADD
        ]
        return places if len(reads) == 1 and len(places) == len(writes) - 1 else []

    def _enlarged(self, places: list[int], frame: int) -> bytes:
        out, done = bytearray(), 0
        for at in places:
            out += self.body[done : self.code[at].start] + i32_const(frame)
            done = self.code[at + 1].start
        return bytes(out + self.body[done:])

    def _wrapped(self, size: int) -> bytes:
        """Returns the body in a block, with the pointer moved before and moved back behind; a return is a branch out of it."""
        out, done, depth = bytearray(), self.start, 0
        for instruction, start in self.code:
            if instruction.opcode in (wasm.BLOCK, wasm.LOOP, wasm.IF):
                depth += 1
            elif instruction.opcode == wasm.END:
                depth -= 1
            elif instruction.opcode == wasm.RETURN:
                out += self.body[done:start] + branch(depth)
                done = start + 1
        out += self.body[done:]
        # The body ends with its own END: here that is the block's.
        wrapped = block(bytes(out[:-1]), result=self.results)
        return self.body[: self.start] + take(self.pointer, size) + wrapped + take(self.pointer, -size) + END
