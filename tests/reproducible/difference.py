"""Says where two builds of a module first differ: section, function or address."""

from __future__ import annotations

from collections.abc import Iterator

from toolchain.runtime.component import COMPONENT, split
from toolchain.wasm.format import CODE, CORE_MODULE, DATA, FUNC_KIND, Module, Reader
from toolchain.wasm.opcodes import I32_CONST

_SECTIONS = ["custom", "type", "import", "function", "table", "memory", "global", "export"]
_SECTIONS += ["start", "element", "code", "data", "data count"]


def _offset(a: bytes, b: bytes) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _bodies(section: bytes) -> Iterator[bytes]:
    reader = Reader(section)
    for _ in reader.repeat():
        yield reader.take(reader.u32())


def _segments(section: bytes) -> Iterator[tuple[int | None, bytes]]:
    reader = Reader(section)
    for _ in reader.repeat():
        address = None
        if reader.u32() == 0:
            constant = Reader(reader.expression())
            address = constant.u32() if constant.u8() == I32_CONST else None
        yield address, reader.take(reader.u32())


def _image(section: bytes) -> bytes | None:
    """Returns the memory that the segments make, or None where they have no fixed address."""
    memory = bytearray()
    for address, data in _segments(section):
        if address is None:
            return None
        memory.extend(bytes(max(0, address + len(data) - len(memory))))
        memory[address : address + len(data)] = data
    return bytes(memory)


def _in_code(module: Module, a: bytes, b: bytes) -> str:
    imported = sum(i.kind == FUNC_KIND for i in module.imports())
    ours, theirs = list(_bodies(a)), list(_bodies(b))
    for index, (x, y) in enumerate(zip(ours, theirs, strict=False)):
        if x != y:
            return f"function {imported + index}, byte {_offset(x, y)} of {len(x)} and {len(y)}"
    return f"{len(ours)} and {len(theirs)} functions"


def _in_data(a: bytes, b: bytes) -> str:
    ours, theirs = _image(a), _image(b)
    if ours is None or theirs is None:
        return f"byte {_offset(a, b)} of the section"
    if ours == theirs:
        return "the same memory, in other segments"
    at = _offset(ours, theirs)
    return f"address {at:#x}, {ours[at : at + 16].hex(' ')} and {theirs[at : at + 16].hex(' ')}"


def _modules(a: Module, b: Module) -> str:
    kinds = [[section for section, _ in module.sections] for module in (a, b)]
    if kinds[0] != kinds[1]:
        return f"sections {kinds[0]} and {kinds[1]}"
    for (section, x), (_, y) in zip(a.sections, b.sections, strict=True):
        if x != y:
            where = f"byte {_offset(x, y)} of {len(x)} and {len(y)}"
            if section == CODE:
                where = _in_code(a, x, y)
            elif section == DATA:
                where = _in_data(x, y)
            return f"{_SECTIONS[section]} section, {where}"
    return "how the lengths of sections are written"


def first_difference(a: bytes, b: bytes) -> str | None:
    """Returns where two files first differ, as closely as their format tells, or None of equal ones."""
    if a == b:
        return None
    heads = (a[:8], b[:8])
    if heads == (CORE_MODULE, CORE_MODULE):
        return _modules(Module(a), Module(b))
    if heads == (COMPONENT, COMPONENT):
        ours, theirs = split(a)[1], split(b)[1]
        for index in sorted(ours.keys() & theirs.keys()):
            if ours[index].encode() != theirs[index].encode():
                return f"core instance {index}: {_modules(ours[index], theirs[index])}"
    return f"byte {_offset(a, b)} of {len(a)} and {len(b)}"
