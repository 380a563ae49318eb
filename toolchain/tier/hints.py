"""Tells an engine which way the branches of compiled functions go: the custom section `metadata.code.branch_hint`.

An engine that reads it, as V8 does, moves what hardly ever runs out of the way. A proxy does much between two connections, and a filter
comes to cold caches each time: what counts is how many of their lines it touches. The section is of WebAssembly's
proposal for branch hinting; it changes no result, and an engine that does not know it passes over it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

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

_COUNTERS = struct.Struct("<II")  # how often a condition was true, and how often not


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


def _counting(function: bytes, parameters: int, branches: list[int], counters: int) -> bytes:
    """Returns a body that counts its branches in memory, from the address `counters` on."""
    own, code = read_body(function)
    condition, side = parameters + len(own), parameters + len(own) + 1
    out = bytearray(with_locals(function, 2))
    position = code.position
    for number, at in enumerate(branches):
        address = counters + _COUNTERS.size * number
        out += function[position:at] + local_tee(condition)
        out += local_get(condition) + I32_EQZ + i32_const(2) + I32_SHL + local_tee(side)  # 0 where it is true, else 4
        out += local_get(side) + load(I32, address) + i32_const(1) + I32_ADD + store(I32, address)
        position = at
    return bytes(out + function[position:])


class _Counting:
    """A module that counts how its branches go, in pages behind those of its first memory."""

    def __init__(self, module: bytes) -> None:
        parsed = Module(module)
        self.imported = sum(i.kind == FUNC_KIND for i in parsed.imports())
        kinds = list(parsed.function_types())[self.imported :]
        bodies = parsed.bodies()
        self.branches = [_branches(body) for body in bodies]
        memory = Reader(parsed.get(MEMORY))
        memories = memory.u32()
        if not memories or memory.u8():
            raise ToolchainError("to count its branches a module must have a memory without a limit")
        pages = memory.u32()
        self.begin = end = pages * PAGE
        counting = []
        for body, kind, branches in zip(bodies, kinds, self.branches, strict=True):
            counting.append(_counting(body, len(kind.parameters), branches, end) if branches else body)
            end += _COUNTERS.size * len(branches)
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

    def read(self, memory: bytes) -> list[tuple[int, int]]:
        """Returns what is counted in a VM with this memory, for all branches of all functions one after the other."""
        count = sum(map(len, self.branches))
        return list(_COUNTERS.iter_unpack(memory[self.begin : self.begin + _COUNTERS.size * count]))


def hint(module: bytes, train: Callable[[bytes], Iterable[bytes]]) -> bytes:
    """Returns the module with a hint for each branch that goes one way nearly always in a training.

    The training is given a module and yields the memory of its VM, as in `build.py`. Raises `ToolchainError` where that cannot be counted.
    """
    counting = _Counting(module)
    total = [(0, 0)] * sum(map(len, counting.branches))
    for memory in train(counting.module):
        total = [(a + c, b + d) for (a, b), (c, d) in zip(total, counting.read(memory), strict=True)]
    counts = iter(total)
    functions = []
    for function, branches in enumerate(counting.branches, counting.imported):
        hints = []
        for at in branches:
            true, false = next(counts)
            if max(true, false) > _ONE_SIDED * min(true, false):
                hints.append(leb(at) + sized(bytes([true > false])))
        if hints:
            functions.append(leb(function) + vector(hints))
    hinted = Module(module)
    code = next(i for i, (section, _) in enumerate(hinted.sections) if section == CODE)
    hinted.sections.insert(code, (0, text(SECTION) + vector(functions)))
    return hinted.encode()
