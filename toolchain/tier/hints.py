"""Tells an engine which way the branches of compiled functions go: the custom section `metadata.code.branch_hint`.

An engine that reads it, as V8 does, moves what hardly ever runs out of the way. A proxy does much between two connections, and a filter
comes to cold caches each time: what counts is how many of their lines it touches. The section is of WebAssembly's
proposal for branch hinting; it changes no result, and an engine that does not know it passes over it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

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
from toolchain.wasm.instructions import UnknownInstruction, read_body, read_instructions

SECTION = "metadata.code.branch_hint"

_ONE_SIDED = 4
"""A branch is hinted at if it goes one way this many times as often as the other."""

_COUNTER = struct.Struct("<I")

Counts = tuple[int, ...]
"""How often a function was called, and for each of its conditional branches how often its condition was true, and how often not."""


def _branches(body: bytes) -> list[int]:
    """Returns where in a body the conditional branches stand; none where it cannot be read."""
    code = read_body(body).code
    found, start = [], code.position
    try:
        for opcode, _ in read_instructions(code):
            if opcode in (wasm.IF, wasm.BR_IF):
                found.append(start)
            start = code.position
    except UnknownInstruction:
        return []
    return found


def _increase(place: bytes, offset: int) -> bytes:
    """Returns what adds one to the counter at a place, which is on the stack and which these instructions put there, and an offset."""
    return place + load(I32, offset) + i32_const(1) + I32_ADD + store(I32, offset)


def _counting(function: bytes, parameters: int, branches: list[int], counters: int) -> bytes:
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


class Counting:
    """A module that counts how often its functions run, in pages behind those of its first memory.

    Raises `ToolchainError` for a module whose memory cannot have these pages.
    """

    def __init__(self, module: bytes) -> None:
        parsed = Module(module)
        self.imported = sum(i.kind == FUNC_KIND for i in parsed.imports())
        kinds = list(parsed.function_types())[self.imported :]
        memory = Reader(parsed.get(MEMORY))
        memories = memory.u32()
        if not memories or memory.u8():
            raise ToolchainError("to count its branches a module must have a memory without a limit")
        pages = memory.u32()
        self.begin = end = pages * PAGE
        self.places: list[tuple[int, struct.Struct]] = []
        counting = []
        for body, kind in zip(parsed.bodies(), kinds, strict=True):
            branches = _branches(body)
            counting.append(_counting(body, len(kind.parameters), branches, end))
            counters = struct.Struct(f"<{1 + 2 * len(branches)}I")
            self.places.append((end, counters))
            end += counters.size
        # Whatever the training lets the module forget: after that nothing is counted yet.
        forget = function_body(i32_const(self.begin), i32_const(0), i32_const(end - self.begin), memory_fill())
        parsed.put(MEMORY, leb(memories) + limits(-(-end // PAGE)) + memory.data[memory.position :])
        parsed.put_bodies([*counting, forget])
        functions = Reader(parsed.get(FUNCTION)).numbers()
        nothing = parsed.types().index(FunctionType(b"", b""))  # the type of `proxy_abi_version_...`
        parsed.put(FUNCTION, vector(leb(i) for i in (*functions, nothing)))
        last = Export(FORGET, FUNC_KIND, self.imported + len(functions))
        parsed.put_exports([*(e for e in parsed.exports() if e.name != FORGET), last])
        self.module = parsed.encode()

    def read(self, memory: bytes) -> dict[int, Counts]:
        """Returns what is counted in a VM with this memory, for each function that ran."""
        counted = {}
        for function, (at, counters) in enumerate(self.places, self.imported):
            counts = counters.unpack_from(memory, at)
            if any(counts):
                counted[function] = counts
        return counted


def hint(module: bytes, counted: Mapping[int, Counts]) -> bytes:
    """Returns the module with a hint for each branch that goes one way nearly always, as it was counted by function."""
    hinted = Module(module)
    first = sum(i.kind == FUNC_KIND for i in hinted.imports())
    bodies, functions = hinted.bodies(), []
    for function, (_, *counts) in sorted(counted.items()):
        hints = []
        for at, true, false in zip(_branches(bodies[function - first]), counts[::2], counts[1::2], strict=True):
            if max(true, false) > _ONE_SIDED * min(true, false):
                hints.append(leb(at) + sized(bytes([true > false])))
        if hints:
            functions.append(leb(function) + vector(hints))
    code = next(i for i, (section, _) in enumerate(hinted.sections) if section == CODE)
    hinted.sections.insert(code, (0, text(SECTION) + vector(functions)))
    return hinted.encode()
