"""The bodies that the module's own functions have in the tiered module."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial

from toolchain.tier.additions import Additions, signature
from toolchain.tier.bridges import Bridges, enter, result, way_in
from toolchain.tier.parts import split
from toolchain.tier.plan import Plan
from toolchain.tier.stubs import stub
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import call, call_indirect, global_get, i32_const, local_get, local_set
from toolchain.wasm.format import FunctionType
from toolchain.wasm.instructions import find, read_body


def bodies(plan: Plan, bridges: Bridges, added: Additions, first: bytes) -> Iterator[bytes]:
    """Yields them in the order of their new indices: a kept function's is its own but for cold parts, a cold one's is a stub.

    What a proxy calls begins with the code `first`.
    """
    for function, body in zip(plan.functions.defined, _bodies(plan, bridges, added), strict=True):
        begin = read_body(body).code.position
        yield body[:begin] + first + body[begin:] if function in plan.callbacks else body


def _bodies(plan: Plan, bridges: Bridges, added: Additions) -> Iterator[bytes]:
    before, kept = plan.module.bodies(), set(plan.kept)
    # A kept function's cold body has a number of its own, behind those of all functions.
    cold_body = {function: number for number, function in enumerate(plan.cold_parts, plan.count)}
    for function in plan.functions.defined:
        body, type_index = before[function - plan.declarations.imported], plan.declarations.functions[function]
        kind = plan.declarations.kinds[type_index]
        calls = _calls(plan, bridges, added, function)
        relocate = partial(plan.functions.relocate, call=calls, element=plan.own.element)
        if function in plan.cold_parts:
            begin, leave = _leave(plan, kind, body, cold_body[function], _call_leave(plan, bridges, added, function))
            parts = plan.cold_parts[function]
            yield split(body, len(kind.parameters), kind.results, parts, begin, leave, relocate)
        elif function not in kept:
            yield stub(kind, i32_const(function), bridges.ways_in[type_index])
        elif plan.functions.movable:
            first = read_body(body).code.position
            yield body[:first] + relocate(body[first:])
        else:
            yield body


def _leave(plan: Plan, kind: FunctionType, body: bytes, cold_body: int, call_leave: bytes) -> tuple[bytes, bytes]:
    """Returns what a kept function begins with, and what leaves it for the interpreter, which runs its cold body; see `split`."""
    own, pointer = plan.own, plan.translation.stack_pointer
    types = kind.parameters + read_body(body).locals
    at, frame, before = len(types), len(types) + 1, len(types) + 2
    begin, pointer_before = b"", i32_const(0)
    if pointer is not None:
        moves = any(place.operands == (pointer,) for place in find(read_body(body).code, {wasm.GLOBAL_SET}))
        begin = global_get(pointer) + local_set(before) if moves else b""
        pointer_before = local_get(before) if moves else global_get(pointer)
    code = enter(own, types, frame) + i32_const(cold_body) + local_get(at) + local_get(frame) + pointer_before
    return begin, code + call_leave + result(own, kind, frame)


def _call_leave(plan: Plan, bridges: Bridges, added: Additions, caller: int) -> bytes:
    """Returns the call with which a kept function lets the interpreter go on."""
    if caller not in plan.opened:
        return call(bridges.leave)
    return i32_const(bridges.leave_place) + call_indirect(added.type(signature(4)), plan.own.table)


def _calls(plan: Plan, bridges: Bridges, added: Additions, caller: int) -> Callable[[int], bytes]:
    """Returns what makes the code for each of a kept function's calls, one after the other, by the function that is called."""
    numbers, places = itertools.count(), plan.places_in_table
    direct, closed = None if plan.direct is None else plan.direct.get(caller, ()), caller not in plan.opened

    def code(callee: int) -> bytes:
        number, type_index = next(numbers), plan.declarations.functions[callee]
        kind = plan.declarations.kinds[type_index]
        if callee not in places and closed:
            return i32_const(callee) + call(bridges.ways_in[type_index])
        if callee not in places:
            place = bridges.ways_in_places[type_index]
            return i32_const(callee) + i32_const(place) + call_indirect(added.type(way_in(kind)), plan.own.table)
        if callee < plan.declarations.imported or direct is None or closed or number in direct:
            return call(plan.functions.index[callee])
        return i32_const(places[callee]) + call_indirect(added.type(kind), plan.own.table)

    return code
