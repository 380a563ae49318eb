"""Which functions stay functions in a tiered module: what is compiled, and what something refers to by its index.

Cold code knows cold functions by their indices in the module as it was, and compiled code calls a way in with that number. So they leave
the function index space altogether, for an engine takes its time for the smallest function. Where compiled code calls through the table,
it says in a global which element it calls: cold functions of one type share one function in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from toolchain.tier.declarations import Declarations
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import expression, global_get, global_set, i32_const
from toolchain.wasm.format import (
    ELEMENT,
    FUNC_KIND,
    FUNCTION,
    START,
    TABLE_KIND,
    Export,
    Module,
    Reader,
    constant,
    leb,
    vector,
)
from toolchain.wasm.instructions import find


def read_elements(module: Module) -> list[int | None] | None:
    """Returns the function of each element of the module's only table.

    None where it cannot be known for sure, or where something else than code, elements and exports names a function.
    """
    kinds = [i.kind for i in module.imports()] + [e.kind for e in module.exports()]
    if TABLE_KIND in kinds or any(table.initialised for table in module.tables()):
        return None
    if any(value.initial[0] == wasm.REF_FUNC for value in module.globals()):
        return None
    reader = Reader(module.get(ELEMENT))
    elements: list[int | None] = []
    for _ in reader.repeat():
        if reader.u32() != 0:
            return None
        offset = reader.expression()
        if offset[0] != wasm.I32_CONST or offset != expression(i32_const(start := constant(offset))):
            return None
        functions = reader.numbers()
        elements += [None] * (start + len(functions) - len(elements))
        elements[start : start + len(functions)] = functions
    return elements


@dataclass(frozen=True)
class Functions:
    """The functions of a tiered module, by their indices in the module before: imported, kept, and cold ones that need a stub."""

    defined: Sequence[int]
    """Those that are defined: the kept ones in the order in which they were given, and then those that need a stub."""

    index: Mapping[int, int]
    """The new index of each, imported ones first."""

    movable: bool
    """False if something may refer to functions in a way that the toolchain does not know: then all keep their indices."""

    def relocate(self, code: bytes, call: Callable[[int], bytes], element: int) -> bytes:
        """Returns a kept function's instructions as they are here.

        `call` has the code that calls a function. The global `element` holds what is called through the table.
        """
        if not self.movable:
            return code
        out, written = bytearray(), 0
        for opcode, operands, begin, end in find(Reader(code), {wasm.CALL, wasm.CALL_INDIRECT}):
            out += code[written:begin]
            if opcode == wasm.CALL:
                out += call(operands[0])
            else:
                out += global_set(element) + global_get(element) + code[begin:end]
            written = end
        return bytes(out + code[written:])

    def put(self, module: Module, shared: Mapping[int, int]) -> None:
        """Replaces the indices in a module's sections; in its table a cold function that has none becomes the one `shared` with others."""
        if not self.movable:
            return
        imported = len(self.index) - len(self.defined)
        types = Reader(module.get(FUNCTION)).numbers()
        module.put(FUNCTION, vector(leb(types[function - imported]) for function in self.defined))
        module.put_exports(
            Export(e.name, e.kind, self.index[e.index]) if e.kind == FUNC_KIND else e for e in module.exports()
        )
        if any(section == START for section, _ in module.sections):
            module.put(START, leb(self.index[Reader(module.get(START)).u32()]))
        reader = Reader(module.get(ELEMENT))
        segments = []
        for _ in reader.repeat():
            offset = leb(reader.u32()) + reader.expression()
            segments.append(offset + vector(leb(self.index.get(f, shared.get(f, 0))) for f in reader.numbers()))
        module.put(ELEMENT, vector(segments))


def choose(module: Module, declarations: Declarations, kept: Sequence[int], movable: bool) -> Functions:
    """Returns the functions that stay in a module of which these are kept."""
    imported = declarations.imported
    defined = [*range(imported, len(declarations.functions))]
    if movable:
        present = {export.index for export in module.exports() if export.kind == FUNC_KIND}
        present |= {Reader(body).u32() for section, body in module.sections if section == START}
        defined = [*kept, *sorted(present.difference(kept, range(imported)))]
    return Functions(defined, {f: index for index, f in enumerate((*range(imported), *defined))}, movable)
