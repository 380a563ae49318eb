"""Links the interpreter into a module: its functions, and what it imports because C has no word for it.

The interpreter is compiled for a module of its own with one memory. Its loads and stores become accesses to the tier's memory. A call of
an import `guest` is the instruction of that name, on the module's own memory; a call of an import `tier` is a call of a helper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from toolchain.tier.additions import Additions
from toolchain.tier.contract import WIDE
from toolchain.tier.declarations import NUMBERS
from toolchain.tier.image import Contents
from toolchain.tier.memories import DAMAGED, OVERRUN, Places
from toolchain.tier.plan import Plan
from toolchain.tools import ToolchainError
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import (
    DROP,
    I32_EQ,
    RETURN,
    UNREACHABLE,
    access,
    call,
    call_indirect,
    function_body,
    global_get,
    global_set,
    i32_const,
    if_then,
    load,
    local_get,
    memory_copy,
    memory_fill,
    memory_grow,
    memory_init,
    memory_size,
    store,
)
from toolchain.wasm.format import FUNC_KIND, I32, FunctionType, Module, Reader
from toolchain.wasm.instructions import read_body, read_instructions

_CRITICAL = 5
_LOG = FunctionType(bytes([I32] * 3), bytes([I32]))
_OF_MEMORIES = {wasm.MEMORY_SIZE, wasm.MEMORY_GROW, wasm.MEMORY_INIT, wasm.MEMORY_COPY, wasm.MEMORY_FILL}
_ON_THE_MODULES_MEMORY = {
    **{wasm.NAMES[opcode]: access(opcode, 0, 0) for opcode in (*wasm.LOADS, *wasm.STORES)},
    "MEMORY_SIZE": memory_size(),
    "MEMORY_GROW": memory_grow(),
    "MEMORY_COPY": memory_copy(),
    "MEMORY_FILL": memory_fill(),
}
"""The instructions that the interpreter imports, by name: they take what they need from the stack alone."""


def link(plan: Plan, contents: Contents, interpreter: Module, added: Additions) -> dict[str, int]:
    """Adds the interpreter's functions and returns the indices of those that it exports."""
    helpers = _helpers(plan, contents, added)
    imports = [i for i in interpreter.imports() if i.kind == FUNC_KIND]
    calls = [_ON_THE_MODULES_MEMORY[i.name] if i.module == "guest" else call(helpers[i.name]) for i in imports]
    bodies, first = interpreter.bodies(), added.next
    calls += [call(function) for function in range(first, first + len(bodies))]
    types = interpreter.types()
    exported = {e.index: e.name for e in interpreter.exports() if e.kind == FUNC_KIND}
    unused = set() if any(body[0] == WIDE for body in plan.translation.bodies.values()) else {"run_wide"}
    kinds = list(interpreter.function_types())[len(imports) :]
    for function, (kind, body) in enumerate(zip(kinds, bodies, strict=True), len(imports)):
        # A proxy would compile it, which takes more than a tenth of the memory that compiling takes.
        needed = exported.get(function) not in unused
        added.add(kind, _relocated(plan, body, calls, types, added) if needed else function_body(UNREACHABLE))
    return {e.name: first + e.index - len(imports) for e in interpreter.exports() if e.kind == FUNC_KIND}


def _relocated(
    plan: Plan, body: bytes, calls: Sequence[bytes], types: Sequence[FunctionType], added: Additions
) -> bytes:
    """Returns a body of the interpreter as it is in the tiered module; `calls` has the code for a call of each of its functions."""
    reader = read_body(body).code
    out, start = bytearray(body[: reader.position]), reader.position
    for opcode, operands in read_instructions(reader):
        if opcode == wasm.CALL:
            out += calls[operands[0]]
        elif opcode == wasm.CALL_INDIRECT:
            out += call_indirect(added.type(types[operands[0]]), plan.own.table)
        elif opcode in wasm.LOADS or opcode in wasm.STORES:
            out += access(opcode, operands[0], operands[1], plan.own.memory)
        elif opcode in (wasm.GLOBAL_GET, wasm.GLOBAL_SET):
            raise ToolchainError("the interpreter must do without a stack in memory, and so without globals")
        elif opcode in _OF_MEMORIES:
            raise ToolchainError(f"the interpreter must not contain {wasm.NAMES[opcode]}: of which memory is not known")
        else:
            out += body[start : reader.position]
        start = reader.position
    return bytes(out)


def _helpers(plan: Plan, contents: Contents, added: Additions) -> Mapping[str, int]:
    """Adds what the interpreter imports as `tier`, and returns the indices by name."""
    tier, places = plan.own.memory, contents.places
    arguments = local_get(0) + local_get(1) + local_get(2)
    return {
        "load": added.add_code(3, arguments, memory_init(contents.segment, tier)),
        "put": added.add_code(3, arguments, memory_copy(0, tier)),
        "overrun": added.add_code(0, _log(plan, places, places.overrun, OVERRUN), UNREACHABLE),
        "damaged": added.add_code(0, _log(plan, places, places.damaged, DAMAGED), UNREACHABLE),
        "get_global": added.add_code(2, _each_global(plan, write=False), UNREACHABLE),
        "set_global": added.add_code(2, _each_global(plan, write=True), UNREACHABLE),
    }


def _log(plan: Plan, places: Places, at: int, text: bytes) -> bytes:
    """Returns code that logs a text of the tier's memory at level critical; nothing if the module imports no `proxy_log`."""
    types = plan.module.types()
    functions = [i for i in plan.module.imports() if i.kind == FUNC_KIND]
    for function, imported in enumerate(functions):
        if imported.name == "proxy_log" and types[Reader(imported.descriptor).u32()] == _LOG:
            return _lent(plan.own.memory, places.room, at, len(text), function)
    return b""


def _lent(tier: int, room: int, at: int, size: int, log: int) -> bytes:
    """Returns the code of a log call: a proxy reads the module's memory, which therefore lends its first bytes."""
    if not tier:
        return i32_const(_CRITICAL) + i32_const(at) + i32_const(size) + call(log) + DROP
    code = i32_const(room) + i32_const(0) + i32_const(size) + memory_copy(tier, 0)
    code += i32_const(0) + i32_const(at) + i32_const(size) + memory_copy(0, tier)
    code += i32_const(_CRITICAL) + i32_const(0) + i32_const(size) + call(log) + DROP
    return code + i32_const(0) + i32_const(room) + i32_const(size) + memory_copy(0, tier)


def _each_global(plan: Plan, write: bool) -> bytes:
    """Returns code that reads the global of an index into a slot, or writes it from there: parameters are slot and index."""
    slot, index, tier = 0, 1, plan.own.memory
    code = b""
    for i, (kind, mutable) in enumerate(plan.declarations.globals):
        if kind in NUMBERS and (mutable or not write):
            there = load(kind, 0, tier) + global_set(i) if write else global_get(i) + store(kind, 0, tier)
            code += local_get(index) + i32_const(i) + I32_EQ + if_then(local_get(slot), there, RETURN)
    return code
