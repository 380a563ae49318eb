"""What a merged module holds before it runs: the numbers in its globals, its table of functions, and the libraries' data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from toolchain.guard.pointers import CONSTANT, SYMBOL, Run
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import DATA, GLOBAL, GLOBAL_KIND, FormatError, Module, Reader, constant


@dataclass(frozen=True)
class Data:
    """The libraries' data."""

    pointers: Mapping[int, int]
    """What is written into it when they are loaded: addresses, by address."""

    segments: Sequence[tuple[int, bytes]]
    """What is there before: bytes, each with its address, in order."""

    def word(self, address: int) -> int | None:
        """Returns the number at an address; None for an address, and 0 for what is in no segment."""
        if address in self.pointers:
            return None
        for start, data in self.segments:
            if start <= address < start + len(data):
                return int.from_bytes(data[address - start : address - start + 4], "little")
        return 0

    def text(self, address: int) -> str:
        """Returns the text at an address, which ends with a NUL; nothing for what is in no segment."""
        for start, data in self.segments:
            if start <= address < start + len(data):
                return data[address - start :].partition(b"\0")[0].decode(errors="replace")
        return ""


def read_data(module: Module, relocated: Iterable[Run]) -> Data:
    """Returns the module's data; `relocated` are the functions that write addresses into it."""
    segments = []
    reader = Reader(module.get(DATA))
    for _ in reader.repeat():
        if reader.u32():
            raise FormatError("a data segment that is not active")
        start = constant(reader.expression())
        segments.append((start, reader.take(reader.u32())))
    return Data(_pointers(relocated), sorted(segments))


def _pointers(relocated: Iterable[Run]) -> dict[int, int]:
    pointers: dict[int, int] = {}
    for store in (store for run in relocated for store in run.stores):
        if len(store.address) == len(store.value) == 1:
            (address,), (value,) = store.address, store.value
            if {address.kind, value.kind} <= {CONSTANT, SYMBOL}:
                pointers[address.number + store.offset] = value.number
    return pointers


def read_constants(module: Module, stack_pointer: int) -> dict[int, int]:
    """Returns the globals that hold a number for good: addresses, which the merge has put there."""
    known: dict[int, int] = {}
    reader = Reader(module.get(GLOBAL))
    imported = sum(i.kind == GLOBAL_KIND for i in module.imports())
    for index in range(imported, imported + reader.u32()):
        reader.take(2)
        number = _value(reader.expression(), known)
        if number is not None and index != stack_pointer:
            known[index] = number
    return known


def read_table(module: Module, constants: Mapping[int, int]) -> dict[int, int]:
    """Returns the function of each element of the table."""
    table: dict[int, int] = {}
    for offset, functions in module.elements():
        start = _value(offset, constants)
        if start is None:
            raise FormatError("elements at a place that is not known")
        table.update(enumerate(functions, start))
    return table


def _value(expression: bytes, constants: Mapping[int, int]) -> int | None:
    """Returns what an expression of constants and sums gives; None if it is not known."""
    reader, stack = Reader(expression), list[int]()
    while (opcode := reader.u8()) != wasm.END:
        if opcode == wasm.I32_CONST:
            stack.append(reader.signed())
        elif opcode == wasm.GLOBAL_GET and (known := constants.get(reader.u32())) is not None:
            stack.append(known)
        elif opcode == wasm.I32_ADD:
            stack.append(stack.pop() + stack.pop())
        else:
            return None
    return stack.pop()
