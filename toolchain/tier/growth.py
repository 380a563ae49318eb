"""Keeps V8 from making more code than a module has: it takes a fifth of the time that compiling takes, and brings a connection nothing.

Without Liftoff, as in Envoy, V8 does two things to a function whether it is ever run or not:

 - It puts callees into their callers, as long as its budget for each caller lasts. Functions of nothing take the budget of those where
   that does not pay: calls that are never made come first.
 - It repeats the body of a loop that has no other loop in it. So such a loop gets another, which never runs.

Both stand behind a constant condition that does not hold. An engine that optimises drops them, and no engine runs them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from toolchain.tier.hints import Hints
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import RETURN, block, branch_if, call, function_body, i32_const, if_then, op
from toolchain.wasm.format import FUNC_KIND, FUNCTION, FunctionType, Module, Reader, leb, vector
from toolchain.wasm.instructions import Place, UnknownInstruction, find, read_body

_SIZES = [1 << power for power in range(10, 1, -1)]
"""The bytes of the functions of nothing."""

_SMALL, _LEAST_BUDGET, _MOST_CALLS = 50, 50, 60
"""V8's: what counts as a small function, the least budget, and how many callees it puts into a function."""

_INNER = i32_const(0) + if_then(op(wasm.LOOP) + block(i32_const(0), branch_if(0))[1:])
"""A loop that never runs; it looks as if it could run again, or else it would be none."""

_MOST_REPEATED = 400
"""V8 does not repeat loops of more bytes: it counts 80 of its own instructions."""

Insertions = list[tuple[int, bytes]]
"""Code by the place in a body in front of which it comes."""


def limit(module: Module, opened: Collection[int], hints: Hints) -> Hints:
    """Changes a module's functions so that V8 repeats no loop, and puts callees into those alone that are `opened`.

    Returns the hints at their new places.
    """
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    bodies = module.bodies()
    sizes = [len(body) for body in bodies]
    factor, nothing = _factor([*sizes, *_SIZES]), imported + len(bodies)
    changed, moved = [], {}
    for function, body in enumerate(bodies, imported):
        insertions = _inner_loops(body)
        if function not in opened:
            calls = [place.operands[0] for place in _find(body, {wasm.CALL})]
            callees = [sizes[callee - imported] for callee in calls if callee >= imported]
            size = len(body) + sum(len(code) for _, code in insertions)
            spent = _spend(size, min(callees), factor, nothing) if callees else b""
            insertions = [(read_body(body).code.position, spent), *insertions]
        changed.append(_inserted(body, insertions))
        if function in hints:
            moved[function] = [(_moved(at, insertions), likely) for at, likely in hints[function]]
    _put(module, changed)
    return moved


def _factor(sizes: Sequence[int]) -> float:
    """Returns how many times a caller's bytes V8's budget is: two, or more if many of a module's functions are small."""
    small = sum(size < _SMALL for size in sizes) / len(sizes)
    return 2 + 3 * min(1.0, max(0.0, 4 * small - 1))


def _spend(size: int, least: int, factor: float, nothing: int) -> bytes:
    """Returns code that spends the budget of a caller of this size, until the least of its callees is no longer put into it.

    The functions of nothing begin with the index `nothing`.
    """
    needed = 0
    while True:  # what is added makes the caller larger, and so its budget
        budget = max(_LEAST_BUDGET, int(factor * (size + needed)))
        calls: list[bytes] = []
        for number, taken in enumerate(_SIZES):
            while least < budget > taken and len(calls) < _MOST_CALLS:
                calls.append(call(nothing + number))
                budget -= taken
        code = i32_const(0) + if_then(*calls) if calls else b""
        if len(code) <= needed:
            return code + op(wasm.NOP) * (needed - len(code))
        needed = len(code)


def _inner_loops(body: bytes) -> Insertions:
    """Returns what comes at the beginning of each small loop that has no other in it."""
    opened: list[tuple[bool, int, int]] = []
    found: Insertions = []
    loops = 0
    for place in _find(body, {wasm.BLOCK, wasm.LOOP, wasm.IF, wasm.END}):
        if place.opcode != wasm.END:
            opened.append((place.opcode == wasm.LOOP, place.end, loops))
        elif opened:  # the last one ends the function
            loop, begin, before = opened.pop()
            if loop and loops == before and place.begin - begin < _MOST_REPEATED:
                found.append((begin, _INNER))
            loops += loop
    return sorted(found)


def _find(body: bytes, wanted: Collection[int]) -> Sequence[Place]:
    try:
        return list(find(read_body(body).code, wanted))
    except UnknownInstruction:
        return []


def _inserted(body: bytes, insertions: Insertions) -> bytes:
    out, done = bytearray(), 0
    for at, code in insertions:
        out += body[done:at] + code
        done = at
    return bytes(out + body[done:])


def _moved(at: int, insertions: Insertions) -> int:
    return at + sum(len(code) for before, code in insertions if before <= at)


def _put(module: Module, bodies: Sequence[bytes]) -> None:
    """Replaces a module's bodies, and adds the functions of nothing."""
    kind = FunctionType(b"", b"")
    types = module.types()
    if kind not in types:
        types.append(kind)
        module.put_types(types)
    functions = Reader(module.get(FUNCTION)).numbers()
    module.put(FUNCTION, vector(leb(i) for i in (*functions, *[types.index(kind)] * len(_SIZES))))
    nothing = [function_body(RETURN + op(wasm.NOP) * (size - len(function_body(RETURN)))) for size in _SIZES]
    module.put_bodies([*bodies, *nothing])
