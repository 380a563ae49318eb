"""The last step of tiering: writes the sections of the module. Nothing before it changes the module."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.tier import memories
from toolchain.tier.additions import Additions
from toolchain.tier.bodies import bodies
from toolchain.tier.bridges import Bridges
from toolchain.tier.image import Contents, segments
from toolchain.tier.plan import INITIALIZE, Plan
from toolchain.wasm.code import (
    UNREACHABLE,
    call,
    element_segment,
    expression,
    global_get,
    global_set,
    i32_const,
    if_then,
    memory_fill,
)
from toolchain.wasm.format import (
    CODE,
    DATA,
    DATA_COUNT,
    ELEMENT,
    FUNC_KIND,
    FUNCREF,
    FUNCTION,
    I32,
    TABLE,
    Export,
    Global,
    Module,
    Reader,
    leb,
    limits,
    sized,
)

FORGET = "cold_tier_forget"
"""What a module for a training exports: a function after which nothing counts as called."""


def emit(plan: Plan, contents: Contents, bridges: Bridges, added: Additions) -> bytes:
    """Returns the bytes of the tiered module."""
    module, own = plan.module, plan.own
    module.put_bodies(list(bodies(plan, bridges, added, _first(plan, contents, bridges, added))))
    plan.functions.put(module, bridges.shared)
    _put_exports(module, plan, contents, bridges, added)
    module.put_types(added.types)
    _append(module, FUNCTION, [leb(kind) for kind, _ in added.functions])
    _append(module, CODE, [sized(body) for _, body in added.functions])
    memories.put(module, plan.memories, contents.places.pages)
    numbers = (contents.places.stack, 0, int(bool(contents.at_start)))
    own_globals = (Global(I32, True, expression(i32_const(number))) for number in numbers)
    module.put_globals([*module.globals(), *own_globals])
    # It never grows: an engine that knows so need not look whether an element is there.
    size = len(bridges.table)
    _append(module, TABLE, [bytes([FUNCREF]) + limits(size, size)])
    _append(module, ELEMENT, [element_segment(0, bridges.table, own.table)])
    if contents.at_start:
        module.put(DATA, leb(0))
    _append(module, DATA, segments(plan, contents, bridges.loops))
    module.put(DATA_COUNT, leb(contents.segment + 1))
    return module.encode()


def _first(plan: Plan, contents: Contents, bridges: Bridges, added: Additions) -> bytes:
    """Returns the code that a callback begins with: the first one unpacks the memories and does what `_initialize` did before."""
    if not plan.callbacks:
        return b""
    initialize = next(e.index for e in plan.module.exports() if e.name == INITIALIZE)
    unpack = _unpack(plan, contents, bridges) + i32_const(0) + global_set(plan.own.packed)
    start = added.add_code(0, unpack, call(plan.functions.index[initialize])) if contents.at_start else None
    return global_get(plan.own.packed) + if_then(UNREACHABLE if start is None else call(start))


def _unpack(plan: Plan, contents: Contents, bridges: Bridges) -> bytes:
    return i32_const(contents.places.state) + i32_const(0) + global_get(plan.own.top) + call(bridges.fetch)


def _append(module: Module, section: int, items: Sequence[bytes]) -> None:
    reader = Reader(module.get(section))
    count = leb(reader.u32() + len(items))
    module.put(section, count + reader.data[reader.position :] + b"".join(items))


def _put_exports(module: Module, plan: Plan, contents: Contents, bridges: Bridges, added: Additions) -> None:
    """Lets `_initialize` unpack the memories, or do nothing if a callback will; exports `FORGET` for a training."""
    exports, places = module.exports(), contents.places
    for export in exports:
        if contents.at_start and export.name == INITIALIZE:
            unpack = b"" if plan.callbacks else _unpack(plan, contents, bridges) + call(export.index)
            export.index = added.add_code(0, unpack)
    if plan.training:
        everything = i32_const(places.bodies) + i32_const(0) + i32_const(places.end - places.bodies)
        exports.append(Export(FORGET, FUNC_KIND, added.add_code(0, everything, memory_fill())))
    module.put_exports(exports)
