"""The slots of types: which functions a pointer can be that is read from a type at some offset.

A type is a structure in the libraries' data, or what a `PyType_Spec` there describes, or a class of Python, whose slots typeobject.c fills.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from toolchain.cpython import types as cpython
from toolchain.guard.data import Data
from toolchain.tools import ToolchainError
from toolchain.wasm.format import GLOBAL_KIND, Module

_ATTRIBUTES = "PyObject_GenericGetAttr"
"""The usual way to get an attribute, by which a type is known that has no type yet."""


def slots(module: Module, data: Data, table: Mapping[int, int], constants: Mapping[int, int]) -> Mapping[int, set[int]]:
    """Returns the functions of all types, by the offset of their slot."""
    found = _Slots(data, table)
    for base in find_types(module, data, table, constants):
        found.read_type(base)
    for address in data.pointers:
        if found.function(address) is not None:
            found.read_definition(address)
    return found.functions


def find_types(module: Module, data: Data, table: Mapping[int, int], constants: Mapping[int, int]) -> set[int]:
    """Returns the addresses of types in the data.

    They are immortal and have a name, and `type` for their type or the usual way to get an attribute.
    """
    types = _type_of_types(module, constants)
    names = module.function_names()
    attribute = {element for element, function in table.items() if names.get(function) == _ATTRIBUTES}
    return {
        address - offset
        for address, value in data.pointers.items()
        for values, offset in ((types, cpython.TYPE), (attribute, cpython.ATTRIBUTE))
        if value in values
        and address - offset + cpython.NAME in data.pointers
        and data.word(address - offset) == cpython.REFERENCES
    }


def _type_of_types(module: Module, constants: Mapping[int, int]) -> set[int]:
    """Returns the address of `type`, if the module exports it."""
    exported = [e.index for e in module.exports() if e.kind == GLOBAL_KIND and e.name.endswith(":PyType_Type")]
    return {constants[index] for index in exported if index in constants}


def verify_layout(module: Module, data: Data, table: Mapping[int, int], constants: Mapping[int, int]) -> None:
    """Raises ToolchainError if CPython's types are not laid out as `cpython/types.py` has it.

    Offsets of another version would be wrong silently: calls through slots would lead to others, or nowhere.
    """
    found, names = _Slots(data, table), module.function_names()
    listed = {
        (data.text(data.pointers[address - 8]), data.word(address - 4))
        for address in data.pointers
        if found.function(address) is not None and found.is_listed(address)
    }
    wrong = [f"{name} at {offset}" for name, offset in cpython.LANDMARKS.items() if (name, offset) not in listed]
    calls = {found.function(base + cpython.VECTORCALL) for base in _type_of_types(module, constants)}
    if not calls or any(index is None or names.get(index) != cpython.TYPE_VECTORCALL for index in calls):
        wrong.append(f"{cpython.TYPE_VECTORCALL} at {cpython.VECTORCALL}")
    if wrong:
        raise ToolchainError(f"CPython's types are not as cpython/types.py has them: its data lacks {', '.join(wrong)}")


@dataclass(frozen=True)
class _Slots:
    data: Data
    table: Mapping[int, int]
    functions: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def function(self, address: int) -> int | None:
        """Returns the function to which the data has a pointer at an address."""
        return self.table.get(self.data.pointers.get(address, -1))

    def read_type(self, base: int) -> None:
        """Reads a type and the tables that it refers to."""
        for offset in cpython.SLOTS:
            self._put(base + offset, offset)
        for table, size in cpython.TABLES.items():
            if (start := self.data.pointers.get(base + table)) is not None:
                for offset in range(0, size, 4):
                    self._put(start + offset, offset)

    def read_definition(self, address: int) -> None:
        """Reads an entry of a `PyType_Spec`, or of typeobject.c's own list, which says where classes of Python have their slots."""
        word = self.data.word(address - 4)
        if word is None:
            return
        *tables, end = cpython.HEAP_TABLES
        if word < end and self.is_listed(address):
            self._put(address, word - max((base for base in tables if base <= word), default=0))
            for offset in cpython.WRAPPERS:
                self._put(address + 4, offset)
        elif word in cpython.IDS and any(self._ids_beside(address)):
            self._put(address, cpython.IDS[word])

    def is_listed(self, address: int) -> bool:
        """Tells whether an entry of typeobject.c's own list is at an address: before it a name and an offset, behind it what calls it."""
        named = address - 8 in self.data.pointers and self.function(address - 8) is None
        return named and self.function(address + 4) is not None

    def _ids_beside(self, address: int) -> Iterator[bool]:
        """Yields for the entries before and behind whether they are ones of a `PyType_Spec` too."""
        for other in (address - 8, address + 8):
            yield other in self.data.pointers and 0 < (self.data.word(other - 4) or 0) <= cpython.LAST_ID

    def _put(self, address: int, offset: int) -> None:
        function = self.function(address)
        if function is not None:
            self.functions[offset].add(function)
