"""Tells an engine which way the branches of compiled functions go: the custom section `metadata.code.branch_hint`.

An engine that reads it, as V8 does, moves what hardly ever runs out of the way. A proxy does much between two connections, and a filter
comes to cold caches each time: what counts is how many cache lines it touches. The section is of WebAssembly's
proposal for branch hinting. It changes no result, and an engine that does not know it passes over it.

How the counts come about: `_with_counters` puts counters into a copy of the module, the training runs that, and `find_hints`
tells what was counted. Where the branches stand may change before `put_hints` writes it down.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from toolchain.tier.assemble import FORGET
from toolchain.tools import ToolchainError
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import (
    I32_ADD,
    I32_EQZ,
    I32_SHL,
    function_body,
    i32_const,
    load,
    local_get,
    local_tee,
    memory_fill,
    store,
    with_locals,
)
from toolchain.wasm.format import (
    CODE,
    FUNC_KIND,
    FUNCTION,
    I32,
    MEMORY,
    PAGE,
    Export,
    FunctionType,
    Module,
    Reader,
    leb,
    limits,
    sized,
    text,
    vector,
)
from toolchain.wasm.instructions import UnknownInstruction, find, read_body

SECTION = "metadata.code.branch_hint"

_ONE_SIDED = 4
"""A branch is hinted at if it goes one way this many times as often as the other."""

_COUNTER = struct.Struct("<I")

Counts = tuple[int, ...]
"""How often a function was called, and for each of its conditional branches how often its condition was true, and how often not."""

Hints = dict[int, list[tuple[int, bool]]]
"""By function where its hinted branches stand in its body, and whether their condition is likely to be true."""


class Counters(NamedTuple):
    """A function's counters: where they begin in memory, and their form there, that of `Counts`."""

    address: int
    form: struct.Struct

    @property
    def end(self) -> int:
        """The address behind them."""
        return self.address + self.form.size


# It is asked once to count and once to hint.
@functools.lru_cache(maxsize=4096)
def _branches(body: bytes) -> Sequence[int]:
    """Returns where in a body the conditional branches stand; none where it cannot be read."""
    try:
        return tuple(place.begin for place in find(read_body(body).code, {wasm.IF, wasm.BR_IF}))
    except UnknownInstruction:
        return ()


def _increase(push_address: bytes, offset: int) -> bytes:
    """Returns code that adds one to the counter at an address and an offset.

    The address is needed twice: the store finds it on the stack already, and `push_address` puts it there once more, for the load.
    """
    return push_address + load(I32, offset) + i32_const(1) + I32_ADD + store(I32, offset)


def _with_counters(function: bytes, parameters: int, branches: Sequence[int], counters: int) -> bytes:
    """Returns a body that counts its calls and its branches in memory, from the address `counters` on."""
    own, code = read_body(function)
    condition, side = parameters + len(own), parameters + len(own) + 1
    out = bytearray(with_locals(function, 2) + i32_const(0) + _increase(i32_const(0), counters))
    position = code.position
    for number, at in enumerate(branches):
        address = counters + _COUNTER.size * (1 + 2 * number)
        out += function[position:at] + local_tee(condition)
        out += local_get(condition) + I32_EQZ + i32_const(2) + I32_SHL + local_tee(side)  # 0 where it is true, else 4
        out += _increase(local_get(side), address)
        position = at
    return bytes(out + function[position:])


@dataclass(frozen=True)
class Counting:
    """A module that counts how often its functions run."""

    module: bytes
    """The module: its counters are in pages behind those of its first memory."""

    imported: int
    """How many functions it imports: the index of the first that is counted."""

    counters: Sequence[Counters]
    """Where the counters of each function are that is defined in it."""

    def read(self, memory: bytes) -> dict[int, Counts]:
        """Returns what is counted in a VM with this memory, for each function that ran."""
        counted = {}
        for function, counters in enumerate(self.counters, self.imported):
            counts = counters.form.unpack_from(memory, counters.address)
            if any(counts):
                counted[function] = counts
        return counted


def counting(module: bytes) -> Counting:
    """Returns a module with counters. Raises `ToolchainError` for a module whose memory cannot have the pages for them."""
    counted = Module(module)
    imported = sum(i.kind == FUNC_KIND for i in counted.imports())
    kinds = list(counted.function_types())[imported:]
    bodies = counted.bodies()
    branches = [_branches(body) for body in bodies]
    begin = _pages(counted) * PAGE
    counters = _counters(begin, branches)
    end = counters[-1].end if counters else begin
    changed = [
        _with_counters(body, len(kind.parameters), places, own.address)
        for body, kind, places, own in zip(bodies, kinds, branches, counters, strict=True)
    ]
    _enlarge(counted, end)
    counted.put_bodies(changed)
    _add_forget(counted, begin, end)
    return Counting(counted.encode(), imported, counters)


def _pages(module: Module) -> int:
    """Returns how many pages the module's first memory has, which must be able to have more."""
    memory = Reader(module.get(MEMORY))
    if not memory.u32() or memory.u8():
        raise ToolchainError("to count its branches a module must have a memory without a limit")
    return memory.u32()


def _counters(begin: int, branches: Iterable[Sequence[int]]) -> list[Counters]:
    """Returns the counters of functions with these branches, one behind the other."""
    counters = []
    for places in branches:
        counters.append(Counters(begin, struct.Struct(f"<{1 + 2 * len(places)}I")))
        begin = counters[-1].end
    return counters


def _enlarge(module: Module, end: int) -> None:
    """Gives the module's first memory pages up to an address."""
    memory = Reader(module.get(MEMORY))
    memories, _, _ = memory.u32(), memory.u8(), memory.u32()
    module.put(MEMORY, leb(memories) + limits(-(-end // PAGE)) + memory.data[memory.position :])


def _add_forget(module: Module, begin: int, end: int) -> None:
    """Adds what a training calls to let the module forget: whatever it forgets else, nothing is counted yet after that."""
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    forget = function_body(i32_const(begin), i32_const(0), i32_const(end - begin), memory_fill())
    module.put_bodies([*module.bodies(), forget])
    functions = Reader(module.get(FUNCTION)).numbers()
    nothing = module.types().index(FunctionType(b"", b""))  # the type of `proxy_abi_version_...`
    module.put(FUNCTION, vector(leb(i) for i in (*functions, nothing)))
    last = Export(FORGET, FUNC_KIND, imported + len(functions))
    module.put_exports([*(e for e in module.exports() if e.name != FORGET), last])


def find_hints(module: Module, counted: Mapping[int, Counts]) -> Hints:
    """Returns a hint for each branch of a module that goes one way nearly always, as it was counted by function."""
    first = sum(i.kind == FUNC_KIND for i in module.imports())
    bodies, hints = module.bodies(), {}
    for function, (_, *counts) in sorted(counted.items()):
        branches = zip(_branches(bodies[function - first]), counts[::2], counts[1::2], strict=True)
        found = [(at, true > false) for at, true, false in branches if max(true, false) > _ONE_SIDED * min(true, false)]
        if found:
            hints[function] = found
    return hints


def put_hints(module: Module, hints: Hints) -> None:
    """Adds the section to a module."""
    functions = [
        leb(function) + vector(leb(at) + sized(bytes([likely])) for at, likely in found)
        for function, found in hints.items()
    ]
    code = next(i for i, (section, _) in enumerate(module.sections) if section == CODE)
    module.sections.insert(code, (0, text(SECTION) + vector(functions)))
