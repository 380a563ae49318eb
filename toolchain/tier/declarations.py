"""What a module declares, as far as cold code refers to it: the types of its functions and of its globals."""

from __future__ import annotations

from toolchain.wasm.format import F32, F64, FUNC_KIND, FUNCTION, GLOBAL_KIND, I32, I64, FunctionType, Module, Reader
from toolchain.wasm.instructions import UnknownInstruction

NUMBERS = {I32, I64, F32, F64}


def check_numbers(types: bytes, what: str) -> None:
    """Raises `UnknownInstruction` unless these value types are all numbers."""
    if not NUMBERS.issuperset(types):
        raise UnknownInstruction(f"{what} that is no number")


class Declarations:
    """Types, functions and globals by index, imported ones first; types that are equal have one number here."""

    def __init__(self, module: Module) -> None:
        numbers: dict[tuple[bytes, bytes], int] = {}
        self.numbers = [numbers.setdefault((t.parameters, t.results), len(numbers)) for t in module.types()]
        self.kinds = [FunctionType(*kind) for kind in numbers]
        imports = module.imports()
        imported = [Reader(i.descriptor).u32() for i in imports if i.kind == FUNC_KIND]
        self.imported = len(imported)
        self.functions = [self.numbers[i] for i in (*imported, *Reader(module.get(FUNCTION)).numbers())]
        self.globals = [(i.descriptor[0], bool(i.descriptor[1])) for i in imports if i.kind == GLOBAL_KIND]
        self.globals += [(g.type, g.mutable) for g in module.globals()]

    def callable(self, number: int) -> FunctionType:
        """Returns a type, or raises `UnknownInstruction` where cold code can not call a function of it."""
        kind = self.kinds[number]
        if len(kind.results) > 1:
            raise UnknownInstruction("a call with several results")
        check_numbers(kind.parameters + kind.results, "a parameter or result")
        return kind
