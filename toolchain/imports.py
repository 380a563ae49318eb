"""Drops the imports that a filter cannot reach: a proxy that lacks them then takes the module nevertheless.

    imports    0 ... kept ...  dropped ... kept | defined functions
    after      0 ... kept ...  kept            | refusals of the dropped ones | defined functions

Refusals take the places that become free, so that only the indices of imports change. An import has one byte in code: it is replaced where
it stands. What a filter reaches is what its modules' sources name; the snapshot says it in a custom section, as the cold tier has the
runtime's translation by the indices of functions.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from toolchain.tools import ToolchainError
from toolchain.wasm import code, instructions, opcodes
from toolchain.wasm.format import (
    CODE,
    ELEMENT,
    FUNC_KIND,
    FUNCTION,
    Import,
    Module,
    Reader,
    leb,
    text,
    vector,
)

SECTION = "unreached"
"""The custom section of a snapshot that names the host calls which its filter cannot reach."""

LEFT_OUT = "left out"
"""The one that names the modules of C and the codecs which it cannot import."""

NOT_IMPORTED = 0xFF
"""The status that a dropped host call gives; it is none of the ABI's."""

_HOST = "env"
_ONE_BYTE = 0x80


def unreached(host_calls: Iterable[str], sources: Iterable[bytes]) -> list[str]:
    """Returns the host calls that no source names, not even in a comment."""
    named = set(re.findall(rb"proxy_\w+", b"\n".join(sources)))
    return [name for name in host_calls if name.encode() not in named]


def mark(data: bytes, names: Collection[str], left_out: Collection[str] = ()) -> bytes:
    """Returns the module with the sections."""
    module = _unmarked(data)
    for section, named in ((SECTION, names), (LEFT_OUT, left_out)):
        module.sections.append((0, text(section) + vector(text(name) for name in named)))
    return module.encode()


def _unmarked(data: bytes) -> Module:
    module = Module(data)
    module.sections = [(i, body) for i, body in module.sections if i or Reader(body).name() not in (SECTION, LEFT_OUT)]
    return module


def marked(module: bytes, wanted: str = SECTION) -> list[str]:
    """Returns what a section of a module names; nothing if it has none."""
    for section, body in Module(module).sections:
        reader = Reader(body)
        if section == 0 and reader.name() == wanted:
            return [reader.name() for _ in reader.repeat()]
    return []


def drop(data: bytes, names: Collection[str]) -> bytes:
    """Returns the module without the imports of these host calls, and without the sections; each is answered by a refusal."""
    module = _unmarked(data)
    imports = module.imports()
    functions = [i for i in imports if i.kind == FUNC_KIND]
    dropped = [i for i, found in enumerate(functions) if found.module == _HOST and found.name in names]
    if not dropped:
        return module.encode()
    kept = [i for i in range(len(functions)) if i not in dropped]
    index = {before: after for after, before in enumerate([*kept, *dropped])}
    if len(functions) >= _ONE_BYTE:
        raise ToolchainError(f"the module imports {len(functions)} functions, and their indices must fit into one byte")
    _renumber(module, {before: after for before, after in index.items() if before != after})
    _add_refusals(module, [functions[i] for i in dropped])
    gone = {id(functions[i]) for i in dropped}
    module.put_imports(i for i in imports if id(i) not in gone)
    return module.encode()


def _renumber(module: Module, index: dict[int, int]) -> None:
    """Puts other indices in the place of some imports' indices: in calls, tables and exports."""
    if not index:
        return
    calls = re.compile(b"\\x%02x[" % opcodes.CALL + b"".join(b"\\x%02x" % i for i in index) + b"]")
    bodies = [_renumbered(body, index) if calls.search(body) else body for body in module.bodies()]
    module.put(CODE, vector(leb(len(body)) + body for body in bodies))
    _renumber_elements(module, index)
    exports = module.exports()
    for export in exports:
        if export.kind == FUNC_KIND:
            export.index = index.get(export.index, export.index)
    module.put_exports(exports)


def _renumbered(body: bytes, index: dict[int, int]) -> bytes:
    changed = bytearray(body)
    for place in instructions.find(instructions.read_body(body).code, {opcodes.CALL}):
        if place.operands[0] in index:
            # The index is the instruction's last byte.
            changed[place.end - 1] = index[place.operands[0]]
    return bytes(changed)


def _renumber_elements(module: Module, index: dict[int, int]) -> None:
    reader = Reader(module.get(ELEMENT))
    segments = []
    for _ in reader.repeat():
        begin = reader.position
        kind = reader.u32()
        if kind not in (0, 2):
            raise ToolchainError(f"the module has a segment of elements of kind {kind}, which nobody renumbers")
        if kind:
            reader.u32()
        reader.expression()
        if kind:
            reader.u8()
        head = reader.data[begin : reader.position]
        segments.append(head + vector(leb(index.get(f, f)) for f in reader.numbers()))
    module.put(ELEMENT, vector(segments))


def _add_refusals(module: Module, dropped: list[Import]) -> None:
    """Puts a function before all others for each of these imports, which refuses the call."""
    types = [i.descriptor for i in dropped]
    refusal = code.function_body(code.i32_const(NOT_IMPORTED))
    for section, added in ((FUNCTION, types), (CODE, [leb(len(refusal)) + refusal] * len(dropped))):
        reader = Reader(module.get(section))
        count = reader.u32() + len(added)
        module.put(section, leb(count) + b"".join(added) + reader.data[reader.position :])
