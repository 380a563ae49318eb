"""The functions that the tier adds to a module, and their types: the only thing in this pipeline that grows while it is used."""

from __future__ import annotations

from toolchain.wasm.code import function_body
from toolchain.wasm.format import I32, FunctionType


class Additions:
    """New functions and types, behind those of the module; each is known by the index that it has in the tiered module."""

    def __init__(self, types: list[FunctionType], first: int) -> None:
        self.types = types
        """All function types: the module's own, then new ones."""

        self.functions: list[tuple[int, bytes]] = []
        """The type's index and the body of each new function."""

        self._first = first

    @property
    def next(self) -> int:
        """The index of the function that is added next."""
        return self._first + len(self.functions)

    def type(self, kind: FunctionType) -> int:
        """Returns the index of a type, which is added if it is new."""
        if kind not in self.types:
            self.types.append(kind)
        return self.types.index(kind)

    def add(self, kind: FunctionType, body: bytes) -> int:
        """Adds a function and returns its index."""
        self.functions.append((self.type(kind), body))
        return self.next - 1

    def add_code(self, parameters: int, *code: bytes) -> int:
        """Adds a function of code that is given so many numbers of 32 bits, and gives nothing back."""
        return self.add(signature(parameters), function_body(*code))


def signature(parameters: int) -> FunctionType:
    """Returns the type of a function that takes so many numbers of 32 bits and returns nothing."""
    return FunctionType(bytes([I32] * parameters), b"")
