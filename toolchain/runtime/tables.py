"""Finds CPython's tables in the libraries' data: those of methods, of attributes and of slots, and what describes modules and types.

Nothing in a linked library says where an object of C begins and ends. These tables say it themselves: a structure has its size, and an
array ends with zeros. What lies between two of them is known by the tables beside it only (`owners.py`).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping

from toolchain.cpython import types as cpython
from toolchain.guard.data import Data

_FLAGS = 0x1000
"""The flags of a method are less."""


class Tables:
    """The tables, by their addresses, none within another one."""

    def __init__(self, data: Data, elements: Mapping[int, int], named: Iterable[int], types: Iterable[int]) -> None:
        """Finds them.

        Args: the data; the function of each element; the addresses that something refers to; those of types.
        """
        reading = _Reading(data, elements)
        ends = {address: address + cpython.TYPE_SIZE for address in types}
        for address in {*named, *data.pointers.values()}:
            if address % 4 == 0 and (end := reading.end(address)):
                ends[address] = end
        self._begins: list[int] = []
        self._ends: list[int] = []
        for begin, end in sorted(ends.items()):
            if self._ends and begin < self._ends[-1]:
                # An address within a table: what is there looks like a shorter one.
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._begins.append(begin)
                self._ends.append(end)

    def place(self, address: int) -> tuple[int, bool]:
        """Returns the number of the table at an address, or before it, and whether the address is in it."""
        number = bisect.bisect_right(self._begins, address) - 1
        return number, number >= 0 and address < self._ends[number]

    def between(self, begin: int, end: int) -> Iterator[tuple[int, int, int, bool]]:
        """Yields the tables between two addresses, and what lies between them: begin, end, and what `place` returns for it."""
        while begin < end:
            number, inside = self.place(begin)
            border = self._ends[number] if inside else (*self._begins, end)[number + 1]
            yield begin, min(border, end), number, inside
            begin = min(border, end)


class _Reading:
    def __init__(self, data: Data, elements: Mapping[int, int]) -> None:
        self.data, self.pointers, self._elements = data, data.pointers, elements

    def function(self, address: int) -> bool:
        """Tells whether there is a pointer to a function."""
        return self.pointers.get(address) in self._elements

    def address(self, address: int) -> bool:
        """Tells whether there is a pointer to data."""
        return address in self.pointers and not self.function(address)

    def end(self, address: int) -> int | None:
        """Returns where the table at an address ends; None if there is none."""
        if self._is_module(address):
            return address + cpython.MODULE
        if self._is_spec(address):
            return address + cpython.SPEC
        return (
            self._array(address, cpython.METHOD, self._is_method)
            or self._array(address, cpython.ACCESSOR, self._is_accessor)
            or self._slots(address)
        )

    def _array(self, begin: int, size: int, is_entry: Callable[[int], bool]) -> int | None:
        end = begin
        while is_entry(end):
            end += size
        zeros = all(self.data.word(end + offset) == 0 for offset in range(0, size, 4))
        return end + size if end > begin and zeros else None

    def _is_method(self, entry: int) -> bool:
        flags = self.data.word(entry + 8)
        known = self.address(entry) and self.function(entry + 4) and self._is_optional(entry + 12)
        return known and flags is not None and 0 < flags < _FLAGS

    def _is_accessor(self, entry: int) -> bool:
        setter = self.function(entry + 8) or self.data.word(entry + 8) == 0
        return self.address(entry) and self.function(entry + 4) and setter and self._is_optional(entry + 12)

    def _is_optional(self, address: int) -> bool:
        return self.address(address) or self.data.word(address) == 0

    def _slots(self, begin: int) -> int | None:
        end = self._array(begin, cpython.SLOT, lambda entry: 0 < (self.data.word(entry) or 0) <= cpython.LAST_ID)
        return end if end and any(self.function(at) for at in range(begin + 4, end, cpython.SLOT)) else None

    def _is_spec(self, address: int) -> bool:
        numbers = all(self.data.word(address + offset) is not None for offset in (4, 8, 12))
        slots = self.pointers.get(address + cpython.SPEC_SLOTS)
        return self.address(address) and numbers and slots is not None and self._slots(slots) is not None

    def _is_module(self, address: int) -> bool:
        if not self.address(address + cpython.MODULE_NAME) or self.data.word(address) is None:
            return False
        methods = self.pointers.get(address + cpython.MODULE_METHODS)
        slots = self.pointers.get(address + cpython.MODULE_SLOTS)
        has_methods = methods is not None and self._array(methods, cpython.METHOD, self._is_method) is not None
        has_slots = slots is not None and self._slots(slots) is not None
        optional = self._is_optional(address + cpython.MODULE_METHODS) and self._is_optional(
            address + cpython.MODULE_SLOTS
        )
        return optional and (has_methods or has_slots)
