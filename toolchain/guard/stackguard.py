"""Deep recursion in C ends in a `RecursionError`, not in a trap: CPython's guard is told how much of the engine's stack is in use.

The guard compares the pointer of the shadow stack with a limit in the thread state. But what runs out in a proxy is the engine's
own stack, of which the guard knows nothing: half of CPython's functions take no shadow stack at all. So every function that calls
another is made to take as much of the one as it may take of the other (`charge.py`). The few that CPython recurses through without
asking its guard are made to ask (`check`).
"""

from __future__ import annotations

from toolchain.cpython.component import SHADOW_STACK
from toolchain.cpython.recursion import STACK_POINTER, Failure
from toolchain.guard.recursion import Rules
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import (
    I32_LT_U,
    I32_SUB,
    RETURN,
    call,
    global_get,
    global_set,
    i32_const,
    if_then,
    local_get,
    store,
)
from toolchain.wasm.format import FUNC_KIND, I32, Module
from toolchain.wasm.instructions import read_body, read_instructions

LIMIT = SHADOW_STACK - 720 * 1024
"""Where on the shadow stack, which has the first MiB of memory, errors begin.

V8 gives a thread 984 KiB. What is left is for the functions between two checks, and for those that take more than is charged.
"""

CLASSES = 1000
"""How many classes the MRO of a class may have: CPython walks up and down a hierarchy without asking its guard."""


def take(stack_pointer: int, size: int) -> bytes:
    """Returns the code that takes bytes of the shadow stack, or gives them back where `size` is negative."""
    return global_get(stack_pointer) + i32_const(size) + I32_SUB + global_set(stack_pointer)


def check(module: Module, exports: dict[str, int], stack_pointer: int, rules: Rules) -> None:
    """Makes what CPython recurses through unguarded return an error if the stack is used up.

    The same goes for the other tables of `cpython/recursion.py`: what is refused, asked before, or called instead. What leads to the
    compiler asks whether it is there.

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
    for name, failure in rules.tables.entries.items():
        _begin(bodies, rules.index(name) - imported, _fail(failure, exports))
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
