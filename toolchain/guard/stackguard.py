"""Deep recursion in C ends in a `RecursionError`, not in a trap: CPython's guard is told how much of the engine's stack is in use.

The guard compares the pointer of the shadow stack with a limit in the thread state. But what runs out in a proxy is the engine's
own stack, of which the guard knows nothing: half of CPython's functions take no shadow stack at all. So every function that calls
another is made to take as much of the one as it may take of the other (`charge`). The few that CPython recurses through without
asking its guard are made to ask (`check`).
"""

from __future__ import annotations

from typing import NamedTuple

from toolchain import cpython
from toolchain.cpython import STACK_POINTER, Failure
from toolchain.guard.recursion import Rules
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import (
    END,
    I32_LT_U,
    I32_SUB,
    RETURN,
    block,
    branch,
    call,
    global_get,
    global_set,
    i32_const,
    if_then,
    local_get,
    store,
)
from toolchain.wasm.format import FUNC_KIND, I32, FormatError, FunctionType, Module
from toolchain.wasm.instructions import Instruction, read_body, read_instructions

LIMIT = cpython.SHADOW_STACK - 720 * 1024
"""Where on the shadow stack, which has the first MiB of memory, errors begin.

V8 gives a thread 984 KiB. What is left is for the functions between two checks, and for those that take more than is charged.
"""

CLASSES = 1000
"""How many classes the MRO of a class may have: CPython walks up and down a hierarchy without asking its guard."""

# In bytes: what may come on top of the deepest stack, which LIMIT leaves room for; and what callers are charged for a function.
_SHALLOW = 1024
_SMALL = 192

_ALIGNMENT = 16


def frame_size(slots: int, size: int) -> int:
    """Returns how many bytes of the engine's stack a function may take: it has this many locals, and a body of this many bytes.

        For five functions out of six, V8's optimising compiler was measured to take less than this. For nearly all others it takes
        at most a
    quarter more.
    """
    estimate = min(64 + 8 * slots + size // 16, 1024)
    return -(-estimate // _ALIGNMENT) * _ALIGNMENT


def take(stack_pointer: int, size: int) -> bytes:
    """Returns the code that takes bytes of the shadow stack, or gives them back where `size` is negative."""
    return global_get(stack_pointer) + i32_const(size) + I32_SUB + global_set(stack_pointer)


def check(module: Module, exports: dict[str, int], stack_pointer: int, rules: Rules) -> None:
    """Makes what CPython recurses through unguarded return an error where the stack is used up, and the rest of the tables of
    `cpython.py`.

    Args: the merged module, with the names of its functions; its exports' indices by name, for the boundary's functions; the index of the
    shadow stack's pointer. Raises FormatError for a name that no function has.
    """
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    bodies = module.bodies()
    for index, failure in rules.checked.items():
        used_up = global_get(stack_pointer) + i32_const(LIMIT) + I32_LT_U
        _begin(bodies, index - imported, used_up + if_then(_fail(failure, exports)))
    _begin(bodies, exports[STACK_POINTER] - imported, global_get(stack_pointer) + RETURN)
    for name, refused in rules.tables.refused.items():
        _begin(bodies, rules.index(name) - imported, call(exports[refused]) + RETURN)
    for name, asked in rules.tables.asked_before.items():
        question = local_get(0) + call(exports[asked])
        _begin(bodies, rules.index(name) - imported, question + if_then(i32_const(0), RETURN))
    for (caller, callee), instead in rules.tables.called_instead.items():
        own = exports[instead] - imported
        for index in range(len(bodies)) if caller is None else [rules.index(caller) - imported]:
            if index != own:
                bodies[index] = _redirected(bodies[index], rules.index(callee), exports[instead])
    module.put_bodies(bodies)


def _begin(bodies: list[bytes], index: int, code: bytes) -> None:
    start = read_body(bodies[index]).code.position
    bodies[index] = bodies[index][:start] + code + bodies[index][start:]


def _fail(failure: Failure, exports: dict[str, int]) -> bytes:
    code = RETURN if failure.result is None else i32_const(failure.result) + RETURN
    if failure.writes:
        parameter, offset, number = failure.writes
        code = local_get(parameter) + i32_const(number) + store(I32, offset) + code
    # While an error is made, the guard lets everything pass: then there is nothing to return.
    return code if failure.raises is None else call(exports[failure.raises]) + if_then(code)


def _redirected(body: bytes, callee: int, instead: int) -> bytes:
    out, code = bytearray(), read_body(body).code
    done, start = 0, code.position
    for instruction in read_instructions(code):
        if instruction == (wasm.CALL, (callee,)):
            out += body[done:start] + call(instead)
            done = code.position
        start = code.position
    return bytes(out + body[done:])


def charge(module: Module, stack_pointer: int) -> None:
    """Makes functions take as much of the shadow stack as they, and what they call, may take of the engine's without being charged.

    Args: the optimised module, whose functions are what the engine will compile, with their names; the index of the shadow stack's
    pointer.
    """
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    kinds = list(module.function_types())[imported:]
    pairs = zip(module.bodies(), kinds, strict=True)
    bodies = [_Body(body, kind, stack_pointer, imported) for body, kind in pairs]
    for index, name in module.function_names().items():
        if name in cpython.BRIEF and index >= imported:
            bodies[index - imported].calls_indirectly = False
    # What the host calls is called once; and componentize-py's exports pass results below the pointer.
    exported = {e.index - imported for e in module.exports() if e.kind == FUNC_KIND}
    in_tables = {index - imported for _, functions in module.elements() for index in functions}
    uncharged = _uncharged(bodies, exported | in_tables)
    charged = [
        body.body if index in exported or index in uncharged else body.charged(_below(body, uncharged))
        for index, body in enumerate(bodies)
    ]
    module.put_bodies(charged)


def _below(body: _Body, uncharged: dict[int, int]) -> int:
    return max((uncharged.get(callee, 0) for callee in body.callees), default=0)


def _uncharged(bodies: list[_Body], reachable: set[int]) -> dict[int, int]:
    """Returns the functions that need not be charged, each with what its callers are charged for it.

    That is nothing where all that it calls soon comes to an end. And a function that takes no shadow stack of its own, and that is not
    `reachable` but from its callers, is charged to them if it is small: the paths that connections take are full of such functions.
    """
    heights: dict[int, int] = {}
    waiting = {index for index, body in enumerate(bodies) if not body.calls_indirectly}
    while ready := [index for index in sorted(waiting) if bodies[index].callees <= heights.keys()]:
        waiting.difference_update(ready)
        for index in ready:
            height = bodies[index].frame + max((heights[callee] for callee in bodies[index].callees), default=0)
            if height <= _SHALLOW:
                heights[index] = height
    uncharged = dict.fromkeys(heights, 0)
    own = {index for index, body in enumerate(bodies) if body.takes_shadow_stack}
    undecided = set(range(len(bodies))) - uncharged.keys() - reachable - own
    while undecided:
        ready = [index for index in sorted(undecided) if not bodies[index].callees & undecided]
        # None is ready: they call in circles, and one of each circle has to pay.
        for index in ready or [min(undecided)]:
            undecided.discard(index)
            whole = bodies[index].frame + _below(bodies[index], uncharged)
            if ready and whole <= _SMALL:
                uncharged[index] = whole
    return uncharged


class _Placed(NamedTuple):
    """An instruction, and where in the body it begins."""

    instruction: Instruction
    start: int


class _Body:
    """A function's body, read."""

    def __init__(self, body: bytes, kind: FunctionType, pointer: int, imported: int) -> None:
        self.body, self.results, self.pointer = body, kind.results, pointer
        own, code = read_body(body)
        self.frame = frame_size(len(kind.parameters) + len(own), len(body))
        self.start = start = code.position
        self.code: list[_Placed] = []
        self.callees: set[int] = set()
        self.calls_indirectly = self.takes_shadow_stack = False
        for instruction in read_instructions(code):
            self.code.append(_Placed(instruction, start))
            start = code.position
            if instruction.opcode == wasm.CALL and instruction.operands[0] >= imported:
                self.callees.add(instruction.operands[0] - imported)
            self.calls_indirectly |= instruction.opcode == wasm.CALL_INDIRECT
            self.takes_shadow_stack |= instruction == (wasm.GLOBAL_GET, (pointer,))

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
