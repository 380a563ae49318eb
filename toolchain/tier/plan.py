"""The first step of tiering: what stays in the module as it is, what becomes cold, and by which index each function goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from toolchain.tier import calls, parts, without
from toolchain.tier.declarations import Declarations
from toolchain.tier.functions import Functions, choose, read_elements
from toolchain.tier.memories import Memories, image, survey
from toolchain.tier.parts import Reached
from toolchain.tier.translation import Part, Translation
from toolchain.vm.builtins import NOTHING, LeftOut
from toolchain.wasm.format import FUNC_KIND, FUNCREF, START, TABLE_KIND, Module

INITIALIZE = "_initialize"
"""The export that a proxy calls before anything else."""

_FIRST = "proxy_on_context_create"
"""The callback that a proxy makes before all others, in each VM that is to do something."""


@dataclass(frozen=True)
class Own:
    """The indices of what the tier adds to the module: each comes behind all that the module has itself."""

    memory: int
    """The tier's memory; 0 in a module for a training, whose memory the tier shares."""

    table: int
    """The interpreter's own table."""

    top: int
    """The global with the top of the value stack."""

    element: int
    """The global that says which element of the module's table compiled code calls."""

    packed: int
    """The global that is not zero as long as the first callback has to unpack the memories."""


@dataclass(frozen=True)
class Plan:
    """What is decided before anything is written. Functions have the indices that they have in the module before."""

    module: Module
    """The module before, which no step changes but the last."""

    declarations: Declarations
    """Its types, functions and globals."""

    translation: Translation
    """All its functions in the form that the interpreter runs."""

    cold: Mapping[int, bytes]
    """The cold code of each function, without what is left out."""

    memories: Memories
    """Its own memory and the tier's."""

    image: bytes | None
    """What its own memory holds at the start, if that is to be packed; else it keeps its data segments."""

    training: bool
    """Whether the module is for a training, which asks the memory what ran."""

    callbacks: Collection[int]
    """The exported functions, of which the first that is called unpacks the memories; none if `_initialize` does."""

    kept: Sequence[int]
    """The functions that stay compiled, imported ones too, sorted: their places in the interpreter's table."""

    cold_parts: Mapping[int, list[Part]]
    """Of kept functions with cold parts: the parts. Such a function has a cold body besides, with a number behind all functions'."""

    started: Collection[int]
    """The cold functions that every VM calls when it starts."""

    direct: Mapping[int, Collection[int]] | None
    """Of each kept function the calls that stay direct, by their order; None for all."""

    opened: Collection[int]
    """The kept functions into which V8 may put others; of the rest all calls are direct, and V8 is kept from it (growth.py)."""

    elements: Sequence[int | None]
    """The function of each element of the module's table, if it is known; else there are none."""

    functions: Functions
    """Which functions are functions of the tiered module, and under which index."""

    calls_through_table: bool
    """Whether cold code can call through the module's table: there is one, of functions."""

    own: Own
    """The indices of what the tier adds."""

    @property
    def places_in_table(self) -> Mapping[int, int]:
        """The places of kept functions in the interpreter's own table: behind the ways out of both sorts."""
        return {function: 2 * len(self.declarations.kinds) + i for i, function in enumerate(self.kept)}

    @property
    def count(self) -> int:
        """How many functions the module has, imported ones too."""
        return len(self.declarations.functions)


def plan(
    module: Module,
    keep: Sequence[int],
    translation: Translation,
    training: bool,
    reached: Reached,
    started: Collection[int],
    direct: Mapping[int, Collection[int]] | None = None,
    left_out: LeftOut = NOTHING,
) -> Plan:
    """Returns the plan; the arguments are those of `assemble`."""
    declarations = Declarations(module)
    kept = [function for function in dict.fromkeys(keep) if function >= declarations.imported]
    everything = sorted({*kept, *range(declarations.imported)})
    cold_parts = parts.unreached(translation, everything, reached)
    elements = None if translation.unknown else read_elements(module)
    memories = survey(module, training)
    packed = image(module, memories) if not training and _can_unpack(module) else None
    tables = _tables(module)
    first_global = len(declarations.globals)
    own = Own(
        memory=memories.tier,
        table=len(tables),
        top=first_global,
        element=first_global + 1,
        packed=first_global + 2,
    )
    return Plan(
        module=module,
        declarations=declarations,
        translation=translation,
        cold=without.bodies(translation.bodies, left_out),
        memories=memories,
        image=packed if packed is None else without.image(packed, left_out),
        training=training,
        callbacks=_callbacks(module),
        kept=everything,
        cold_parts=cold_parts,
        started=started,
        direct=direct,
        opened=everything if direct is None else calls.opened(_bodies(module, everything), cold_parts, direct),
        elements=elements or [],
        functions=choose(module, declarations, kept, elements is not None),
        calls_through_table=tables[:1] == [FUNCREF],
        own=own,
    )


def _bodies(module: Module, functions: Iterable[int]) -> dict[int, bytes]:
    """Returns the bodies of those of the functions that are not imported."""
    bodies = module.bodies()
    imported = Declarations(module).imported
    return {function: bodies[function - imported] for function in functions if function >= imported}


def _can_unpack(module: Module) -> bool:
    """Tells whether something of the module runs before all else, and could unpack its memory."""
    first = any(e.name == INITIALIZE and e.kind == FUNC_KIND for e in module.exports())
    return first and all(section != START for section, _ in module.sections)


def _callbacks(module: Module) -> set[int]:
    """Returns what a proxy calls after `_initialize`; nothing for a module that is not told of contexts."""
    functions = {e.name: e.index for e in module.exports() if e.kind == FUNC_KIND}
    initialize = functions.pop(INITIALIZE, None)
    return {*functions.values()} if initialize is not None and _FIRST in functions else set()


def _tables(module: Module) -> list[int]:
    """Returns the types of the module's tables."""
    imported = [i.descriptor[0] for i in module.imports() if i.kind == TABLE_KIND]
    return imported + [table.type for table in module.tables()]
