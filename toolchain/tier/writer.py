"""Writes cold code, an instruction at a time.

It remembers the last one, so that the next may improve it: that is all the optimising there is.

An instruction is an opcode (`contract.py`), the slots that it names, its result first, and then numbers. Narrow code has slots of one byte,
functions of two and jumps of two. If a jump goes too far for that, all of a body's have four. Wide code has twice as much for each.
"""

from __future__ import annotations

import struct

from toolchain.tier import contract as cold


class TooLarge(Exception):
    """A number does not fit narrow code."""


def _bytes(number: int, size: int) -> bytes:
    if number >> 8 * size:
        raise TooLarge
    return number.to_bytes(size, "little")


def small(number: int) -> bytes:
    """Encodes a number that is small as a rule."""
    if number < cold.TWO_BYTES:
        return bytes([number])
    if number < 1 << 16:
        return bytes([cold.TWO_BYTES]) + number.to_bytes(2, "little")
    return bytes([cold.FOUR_BYTES]) + number.to_bytes(4, "little")


class Writer:
    """The cold code of one body; it remembers the last instruction, which the next may improve."""

    def __init__(self, wide: bool, far: bool) -> None:
        self.out = bytearray()
        self._slot_size, self._function_size = (2, 4) if wide else (1, 2)
        self._distance = "<i" if wide or far else "<h"
        self._opcodes = cold.FAR if far else {}
        self.barrier()

    def barrier(self) -> None:
        """Forgets the last instruction: a jump may come here."""
        self._begin = 0
        self._opcode = self._result = -1
        self._operand = 0

    def emit(self, opcode: int, *slots: int) -> None:
        """Writes an instruction without a result: opcode and slots."""
        self.barrier()
        self.out.append(self._opcodes.get(opcode, opcode))
        self._slots(slots)

    def emit_result(self, opcode: int, *slots: int) -> None:
        """Writes an instruction whose first slot is its result."""
        self._begin, self._opcode, self._operand, self._result = len(self.out), opcode, slots[-1], len(self.out) + 1
        self.out.append(opcode)
        self._slots(slots)

    def emit_const(self, slot: int, bits: int, size: int) -> None:
        """Writes the shortest instruction that puts a number of this many bytes into a slot."""
        number = bits - (1 << 8 * size) if bits >> (8 * size - 1) else bits
        for opcode, form in ((cold.CONST8, "<b"), (cold.CONST32, "<i"), (cold.CONST64, "<q")):
            if -(1 << 8 * struct.calcsize(form) - 1) <= number < 1 << 8 * struct.calcsize(form) - 1:
                self.emit_result(opcode, slot)
                self._operand = number
                self.out += struct.pack(form, number)
                return

    def emit_call(self, opcode: int, callee: bytes, slots: list[int]) -> None:
        """Writes a call; the result's slot is the last, where the interpreter finds it when the call is over."""
        self.barrier()
        self.out.append(opcode)
        self.out += callee
        self._slots(slots)
        self._result = len(self.out) - self._slot_size

    def function(self, index: int) -> bytes:
        """Returns a function's index as a call holds it."""
        return _bytes(index, self._function_size)

    def slot(self, slot: int) -> bytes:
        """Returns a slot's number as instructions hold it."""
        return _bytes(slot, self._slot_size)

    def _slots(self, slots: tuple[int, ...] | list[int]) -> None:
        for slot in slots:
            self.out += _bytes(slot, self._slot_size)

    def distance(self) -> int:
        """Leaves room for a jump's distance and returns where."""
        position = len(self.out)
        self.out += bytes(struct.calcsize(self._distance))
        self.barrier()
        return position

    def land(self, position: int, target: int) -> None:
        """Fills in a jump's distance, counted from where it stands."""
        try:
            struct.pack_into(self._distance, self.out, position, target - position)
        except struct.error:
            raise TooLarge from None

    def _last_result(self) -> int:
        if self._result < 0:
            return -1
        return int.from_bytes(self.out[self._result : self._result + self._slot_size], "little")

    def redirect(self, old: int, new: int) -> bool:
        """Lets the last instruction put its result into another slot; False if it was not that one's result."""
        if self._last_result() != old:
            return False
        self.out[self._result : self._result + self._slot_size] = self.slot(new)
        return True

    def take_back(self, opcode: int, result: int) -> int | None:
        """Takes the last instruction back if it is this one with this result, and returns its last operand, slot or number."""
        if self._opcode != opcode or self._last_result() != result:
            return None
        del self.out[self._begin :]
        operand = self._operand
        self.barrier()
        return operand
