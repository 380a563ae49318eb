"""The last step of tiering: writes the sections of the module. Nothing before it changes the module."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.tier import memories
from toolchain.tier.additions import Additions
from toolchain.tier.bodies import bodies
from toolchain.tier.bridges import Bridges
from toolchain.tier.image import Contents, segments
from toolchain.tier.plan import INITIALIZE, Plan
from toolchain.wasm.code import call, element_segment, expression, global_get, i32_const, memory_fill
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
    module.put_bodies(list(bodies(plan, contents.places, bridges)))
    plan.functions.put(module, bridges.shared)
    _put_exports(module, plan, contents, bridges, added)
    module.put_types(added.types)
    _append(module, FUNCTION, [leb(kind) for kind, _ in added.functions])
    _append(module, CODE, [sized(body) for _, body in added.functions])
    memories.put(module, plan.memories, contents.places.pages)
    own_globals = (Global(I32, True, expression(i32_const(number))) for number in (contents.places.stack, 0))
    module.put_globals([*module.globals(), *own_globals])
    _append(module, TABLE, [bytes([FUNCREF]) + limits(len(bridges.table))])
    _append(module, ELEMENT, [element_segment(0, bridges.table, own.table)])
    if contents.at_start:
        module.put(DATA, leb(0))
    _append(module, DATA, segments(plan, contents, bridges.loops))
    module.put(DATA_COUNT, leb(contents.segment + 1))
    return module.encode()


def _append(module: Module, section: int, items: Sequence[bytes]) -> None:
    reader = Reader(module.get(section))
    count = leb(reader.u32() + len(items))
    module.put(section, count + reader.data[reader.position :] + b"".join(items))


def _put_exports(module: Module, plan: Plan, contents: Contents, bridges: Bridges, added: Additions) -> None:
    """Lets `_initialize` unpack the memories before it does anything, and exports `FORGET` for a training."""
    exports, places = module.exports(), contents.places
    for export in exports:
        if contents.at_start and export.name == INITIALIZE:
            unpack = i32_const(places.state) + i32_const(0) + global_get(plan.own.top) + call(bridges.fetch)
            export.index = added.add_code(0, unpack, call(export.index))
    if plan.training:
        everything = i32_const(places.bodies) + i32_const(0) + i32_const(places.end - places.bodies)
        exports.append(Export(FORGET, FUNC_KIND, added.add_code(0, everything, memory_fill())))
    module.put_exports(exports)
