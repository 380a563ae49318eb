"""The bridges between compiled code and the interpreter, a function for each type of function.

    compiled code ──stub──> way in ──run──> interpreter ──way out──> compiled code

A way in takes the parameters of its type and, as the last, the number of the cold function. It puts them into a frame on the value stack.
A way out takes an index and a frame, and calls with what is in the frame. Of each type there are two: one calls the element of the
module's table, the other an element of the interpreter's own table, where the kept functions are. Both put the result into the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from toolchain.guard.stackguard import take
from toolchain.tier.additions import Additions, signature
from toolchain.tier.image import Contents
from toolchain.tier.link import link
from toolchain.tier.memories import SLOT, Places
from toolchain.tier.plan import Own, Plan
from toolchain.tier.stubs import shared_stubs
from toolchain.wasm.code import (
    I32_ADD,
    UNREACHABLE,
    call,
    call_indirect,
    function_body,
    global_get,
    global_set,
    i32_const,
    load,
    local_get,
    local_set,
    store,
)
from toolchain.wasm.format import I32, FunctionType, Module
from toolchain.wasm.instructions import UnknownInstruction

COLD_CALL = 768
"""What a call may take of the engine's stack, in bytes, on its way from compiled code through the interpreter to compiled code."""


@dataclass(frozen=True)
class Bridges:
    """The functions that join the two worlds, by their indices in the tiered module."""

    table: Sequence[int]
    """The interpreter's own table: ways out of both sorts by type, kept functions, the interpreter's loops, ways in by type, `leave`."""

    loops: int
    """Where in that table the loops begin: for narrow code, for wide code, and `fetch`."""

    ways_in: Sequence[int]
    """By type; -1 for a type of which no function can be cold."""

    ways_in_places: Mapping[int, int]
    """The places of ways in in that table, by type."""

    shared: Mapping[int, int]
    """The stub in the module's table for a cold function that has none of its own, by that function."""

    leave: int
    """Lets the interpreter go on in a kept function's cold part."""

    leave_place: int
    """Its place in that table."""

    fetch: int
    """Unpacks a block, or all that is there from the start."""


def bridges(plan: Plan, contents: Contents, interpreter: Module, added: Additions) -> Bridges:
    """Adds the interpreter and the bridges."""
    linked = link(plan, contents, interpreter, added)
    kinds = [_callable(plan, number) for number in range(len(plan.declarations.kinds))]
    ways_out = _ways_out(plan, kinds, added)
    ways_in = [-1 if kind is None else _way_in(plan, contents.places, kind, linked["run"], added) for kind in kinds]
    table = [*ways_out, *(plan.functions.index[function] for function in plan.kept)]
    loops = [linked["run_narrow"], linked["run_wide"], linked["fetch"]]
    shared = shared_stubs(plan, contents.places, ways_in, added)
    callable_types = [number for number, way in enumerate(ways_in) if way >= 0]
    places = {number: len(table) + len(loops) + i for i, number in enumerate(callable_types)}
    leave = _leave(plan, contents.places, linked["resume"], added)
    whole = [*table, *loops, *(ways_in[number] for number in callable_types), leave]
    return Bridges(whole, len(table), ways_in, places, shared, leave, len(whole) - 1, linked["fetch"])


def _callable(plan: Plan, number: int) -> FunctionType | None:
    try:
        return plan.declarations.callable(number)
    except UnknownInstruction:
        return None


# ---- frames, in code that compiled functions run


def enter(own: Own, types: bytes, frame: int) -> bytes:
    """Returns code that takes a frame on the value stack into a local, and stores locals of these types there."""
    code = global_get(own.top) + i32_const(SLOT) + I32_ADD + local_set(frame)
    for i, number_type in enumerate(types):
        code += local_get(frame) + local_get(i) + store(number_type, SLOT * i, own.memory)
    return code


def give_back(own: Own, frame: int) -> bytes:
    """Returns code that gives a frame back."""
    return local_get(frame) + i32_const(-SLOT) + I32_ADD + global_set(own.top)


def result(own: Own, kind: FunctionType, frame: int) -> bytes:
    """Returns code that puts a call's result on the stack; the interpreter leaves it at the beginning of the frame."""
    return b"".join(local_get(frame) + load(number_type, 0, own.memory) for number_type in kind.results)


# ---- ways in


def way_in(kind: FunctionType) -> FunctionType:
    """Returns the type of the way in for cold functions of a type."""
    return FunctionType(kind.parameters + bytes([I32]), kind.results)


def _way_in(plan: Plan, places: Places, kind: FunctionType, run: int, added: Additions) -> int:
    """Adds what calls the interpreter with the parameters of a type, and the cold function's number as the last."""
    own, pointer = plan.own, plan.translation.stack_pointer
    number = len(kind.parameters)
    frame = number + 1
    code = b"" if pointer is None else take(pointer, COLD_CALL)
    code += enter(own, kind.parameters, frame)
    code += i32_const(places.state) + local_get(number) + local_get(frame) + call(run) + give_back(own, frame)
    if pointer is not None:
        code += take(pointer, -COLD_CALL)
    body = function_body(code, result(own, kind, frame), own=bytes([I32]))
    return added.add(way_in(kind), body)


# ---- cold parts


def _leave(plan: Plan, places: Places, resume: int, added: Additions) -> int:
    """Adds what lets the interpreter go on with a kept function's frame.

    It is given the number of the function's cold body, the mark to go on from, the frame, and what the shadow stack's pointer was before.
    """
    number, mark, frame, before = range(4)
    pointer = plan.translation.stack_pointer
    code = b"" if pointer is None else take(pointer, COLD_CALL)
    code += i32_const(places.state) + local_get(number) + local_get(mark) + local_get(frame) + call(resume)
    # The interpreter gives back what the function itself took, but cannot know of this.
    restore = b"" if pointer is None else local_get(before) + global_set(pointer)
    return added.add_code(4, code, give_back(plan.own, frame), restore)


# ---- ways out


def _ways_out(plan: Plan, kinds: Sequence[FunctionType | None], added: Additions) -> list[int]:
    """Adds what the interpreter calls compiled code with: through the module's table, then through its own.

    Of a type of which nothing compiled is there, it is a trap: a call of another type is one too.
    """
    trap, ways = added.add_code(2, UNREACHABLE), []
    for through_modules, needed in ((True, _called_through_table(plan)), (False, _types(plan, plan.kept))):
        for number, kind in enumerate(kinds):
            there = kind is not None and number in needed
            ways.append(_way_out(plan.own, kind, through_modules, added) if kind and there else trap)
    return ways


def _called_through_table(plan: Plan) -> Set[int]:
    """Returns the types of which the module's table can hold what no interpreter's loop goes on with by itself."""
    if not plan.calls_through_table:
        return set()
    if not plan.functions.movable:
        return {*range(len(plan.declarations.kinds))}
    # The loop for narrow code does not go on with wide code, nor the other way round.
    one_form = len({body[0] for body in plan.translation.bodies.values()}) <= 1
    kept = {*plan.kept}
    return _types(plan, (f for f in plan.elements if f is not None and (f in kept or not one_form)))


def _types(plan: Plan, functions: Iterable[int]) -> Set[int]:
    return {plan.declarations.functions[function] for function in functions}


def _way_out(own: Own, kind: FunctionType, through_modules: bool, added: Additions) -> int:
    index, frame = 0, 1
    code = local_get(frame) * len(kind.results)
    for i, number_type in enumerate(kind.parameters):
        code += local_get(frame) + load(number_type, SLOT * i, own.memory)
    # The arguments are read: what is called may have their place.
    code += local_get(frame) + global_set(own.top)
    if through_modules:
        code += local_get(index) + global_set(own.element)
    code += local_get(index) + call_indirect(added.type(kind), 0 if through_modules else own.table)
    code += b"".join(store(number_type, 0, own.memory) for number_type in kind.results)
    return added.add(signature(2), function_body(code))
