"""What is in the place of a cold function: a stub, which passes its parameters and the function's number to the way in of its type.

A cold function that is called or exported by its index has a stub of its own (`bodies.py`). Those that are only elements of the module's
table share one of each type: compiled code says in a global which element it calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolchain.tier.additions import Additions
from toolchain.tier.memories import Places
from toolchain.tier.plan import Plan
from toolchain.wasm.code import I32_SHL, call, function_body, global_get, i32_const, load, local_get
from toolchain.wasm.format import I32, FunctionType


def stub(kind: FunctionType, push_number: bytes, way_in: int) -> bytes:
    """Returns a stub's body: for functions of this type, with code that puts the cold function's number on the stack."""
    return function_body(*map(local_get, range(len(kind.parameters))), push_number, call(way_in))


def shared_stubs(plan: Plan, places: Places, ways_in: Sequence[int], added: Additions) -> Mapping[int, int]:
    """Adds a stub for each type of which the module's table has cold functions, and returns the stubs by cold function."""
    if not plan.functions.movable:
        return {}
    type_of = plan.declarations.functions
    cold = {f for f in plan.elements if f is not None and f not in plan.functions.index}
    # The number of the function that compiled code calls: `elements[element]`, of four bytes each.
    push_number = global_get(plan.own.element) + i32_const(2) + I32_SHL + load(I32, places.elements, plan.own.memory)
    by_type: dict[int, int] = {}
    for type_index in sorted({type_of[function] for function in cold}):
        kind = plan.declarations.kinds[type_index]
        by_type[type_index] = added.add(kind, stub(kind, push_number, ways_in[type_index]))
    return {function: by_type[type_of[function]] for function in cold}
