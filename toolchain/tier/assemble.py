"""Makes a tiered module: the body of a cold function becomes data for an interpreter, and everything else stays as it is.

# Theory of operation

A pipeline of values. Each step is a function, and only the last one changes the module.

    module, functions to keep ──plan──> Plan                        what stays, what is cold, and every function's new index
                              ──lay_out──> Contents                 all that memory holds, and so every address
                              ──bridges──> Bridges                  the interpreter, and ways in and out of it
                              ──emit──> bytes                       bodies, stubs, sections

The module that comes out, where `n` is what the module had itself:

    section    the module's own                      the tier's, behind it
    type       n types                               of bridges and of the interpreter's functions
    function   imported, kept, stubs                 helpers, interpreter, ways out, ways in, shared stubs, `_initialize`
    table      0: its functions                      n: ways out through 0 and n, kept functions, loops, fetch, ways in, leave
    memory     0: exported as "memory"               n: the tier's
    global     n globals                             n: top of the value stack   n + 1: the element of table 0 that is called
    data       0: the state of memory n              1: passive: image, tables and bodies, in compressed blocks

The tier's memory, from its lowest address to its highest (`memories.Places`). What is marked with * is data of the module. The rest
is unpacked into its place: the tables when the module starts, and a block of bodies when one of them is called.

    elements   u32 for each element of table 0: the function's number, or NONE
    offsets    u32 for each function: where its body begins, from `bodies` on
    state      * contract.STATE, then two texts for the log
    blocks     * contract.ENTRY for each block: image, tables, bodies, and one more
    bodies     contract.HEAD and code for each function
    room       where a block is unpacked
    stack      the value stack, 8 MiB: frames of slots of 8 bytes

A function can have three numbers, which must not be mixed up:

 - its index in the module before: cold code, `elements` and `offsets` have this one;
 - its index in the tiered module, if something still needs one (`functions.py`);
 - the place of a kept function in the interpreter's own table, which is in the head that stands for its body.

In a module for a training the tier shares the module's memory, behind the module's own pages, and nothing is compressed: a training
yields that memory, and it tells what ran.

# What must be kept in sync

 - `contract.py`, of which the interpreter's header is made, says how head, state and blocks look: `image.py` writes them.
 - `image.py` gives a kept function its place in the interpreter's table, and `bridges.py` puts it there: behind the ways out of both
   sorts.
 - The interpreter knows the order of that table (`State.types`, `State.loops`, the ways out): `bridges.py` makes it.
 - The order in which functions and types are added decides the bytes of the module: `link.py`, `bridges.py` and `emit.py` add them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from toolchain.tier.additions import Additions
from toolchain.tier.bridges import bridges
from toolchain.tier.contract import ENTRY, MARKED
from toolchain.tier.emit import FORGET, emit
from toolchain.tier.image import lay_out
from toolchain.tier.memories import Places
from toolchain.tier.pack import Compress, compress
from toolchain.tier.parts import Reached
from toolchain.tier.plan import plan
from toolchain.tier.translate import translate
from toolchain.tier.translation import Part, Translation, digest
from toolchain.tools import ToolchainError
from toolchain.vm.builtins import NOTHING, LeftOut
from toolchain.wasm.format import Module

__all__ = ["FORGET", "Reached", "Tiered", "assemble"]


@dataclass(frozen=True)
class Tiered:
    """A tiered module; of one for a training, a VM's memory tells which of its cold functions were called."""

    module: bytes
    """The core module."""

    kept: Sequence[int]
    """The functions that are compiled, by their indices in the module before."""

    functions: int
    """How many functions that module had."""

    places: Places
    """The map of the tier's memory."""

    offsets: Sequence[int]
    """Where each function's body is among all bodies, by the function's number."""

    parts: Mapping[int, Sequence[Part]]
    """The parts of functions, cold or not; small ones have none."""

    index: Mapping[int, int]
    """The functions that are still functions, with their indices here by those in the module before."""

    cold_parts: Mapping[int, Sequence[Part]]
    """Those that are cold."""

    opened: Collection[int]
    """Those into which V8 may put others, by their indices here."""

    callbacks: Collection[int]
    """The functions that begin with a branch of the tier's own."""

    packed_bodies: int
    """How many bytes of the module are the bodies of cold functions."""

    packed_image: int
    """How many are what its memories hold at the start."""

    def called(self, memory: bytes) -> set[int]:
        """Returns the cold functions that were called in a VM with this memory since it forgot: their bodies were fetched."""
        compiled = set(self.kept)
        functions = enumerate(self.offsets[: self.functions])
        return {function for function, at in functions if memory[self.places.bodies + at] and function not in compiled}

    def ever_called(self, memory: bytes) -> set[int]:
        """Returns those that were called, forgotten or not."""
        compiled = set(self.kept)
        first, size = self.places.blocks + ENTRY.offset("fetched"), ENTRY.form.size
        marks = range(first, first + size * self.functions, size)
        return {function for function, at in enumerate(marks) if memory[at] and function not in compiled}

    def reached(self, memory: bytes) -> Reached:
        """Returns the marks that were reached in a VM with this memory, by function."""
        begin = {function: self.places.bodies + self.offsets[function] for function in self.parts}
        return {
            function: {part.mark for part in self.parts[function] if memory[at + part.mark] == MARKED}
            if memory[at]
            else set()
            for function, at in begin.items()
        }


def assemble(
    module: bytes,
    keep: Sequence[int],
    interpreter: bytes,
    translation: Translation | None = None,
    training: bool = False,
    reached: Reached | None = None,
    started: Collection[int] = (),
    direct: Mapping[int, Collection[int]] | None = None,
    compress: Compress = compress,
    left_out: LeftOut = NOTHING,
) -> Tiered:
    """Makes all functions of a module cold but those of these indices, in this order, and those that the interpreter does not know.

    `interpreter` is interpreter.c, compiled and linked; a `translation` of the module spares the time of making it.
    For `training` the module exports `FORGET`, and nothing in it is compressed. Of a kept function in `reached` all parts are cold but
    those with these marks. The cold functions `started` are those that every VM calls when it starts.
    Of a kept function's calls those in `direct` are for V8 to put the callee there (calls.py), or all. `compress` makes what is packed,
    without what is left out.
    Raises `ToolchainError` for a module that imports its memory, and for a translation that is another module's.
    """
    parsed = Module(module)
    parsed.drop_custom_sections()
    if translation is None:
        translation = translate(parsed)
    elif translation.digest != digest(parsed):
        raise ToolchainError("the translation was made from another module than the one to be tiered")
    planned = plan(
        parsed, (*keep, *translation.unknown), translation, training, reached or {}, started, direct, left_out
    )
    contents = lay_out(planned, compress)
    added = Additions(parsed.types(), len(planned.functions.index))
    joined = bridges(planned, contents, Module(interpreter), added)
    tiered = emit(planned, contents, joined, added)
    return Tiered(
        tiered,
        planned.kept,
        planned.count,
        contents.places,
        contents.offsets,
        translation.parts,
        planned.functions.index,
        planned.cold_parts,
        {planned.functions.index[function] for function in planned.opened},
        planned.callbacks,
        sum(len(block.packed) for block in contents.bodies),
        sum(len(block.packed) for block in contents.at_start),
    )
