"""What an instruction of x86-64 reads and writes in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import capstone

from bench.measure.steps import Registers

LINE = 64
"""The bytes of a cache line."""


@dataclass(frozen=True)
class Operand:
    """A place in memory that an instruction reads or writes."""

    base: str
    index: str
    scale: int
    offset: int
    segment: str
    size: int

    def lines(self, registers: Registers) -> range:
        """Returns the numbers of its lines."""
        at = self.offset + sum(getattr(registers, name) for name in (self.base, self.segment) if name)
        at += self.scale * getattr(registers, self.index) if self.index else 0
        at &= (1 << 64) - 1
        return range(at // LINE, (at + self.size - 1) // LINE + 1)


class Decoder:
    """Decodes instructions at their addresses, each once."""

    def __init__(self, pid: int) -> None:
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
        self._machine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._machine.detail = True
        self._known: dict[int, tuple[int, list[Operand]]] = {}

    def at(self, address: int) -> tuple[int, list[Operand]]:
        """Returns an instruction's size, and what it reads and writes."""
        if address not in self._known:
            code = os.pread(self._memory, 16, address)
            instruction = next(self._machine.disasm(code, address, 1))
            self._known[address] = instruction.size, list(_operands(instruction))
        return self._known[address]

    def close(self) -> None:
        """Closes the process's memory."""
        os.close(self._memory)


def _operands(instruction: capstone.CsInsn) -> Iterator[Operand]:
    """Yields the places in memory that an instruction names, and the place on the stack that it uses unsaid."""
    name = instruction.reg_name
    for operand in instruction.operands:
        if operand.type == capstone.CS_OP_MEM and instruction.mnemonic not in ("lea", "nop"):
            place = operand.mem
            base = name(place.base) or ""
            offset = place.disp + (instruction.size if base == "rip" else 0)
            segment = {"fs": "fs_base", "gs": "gs_base"}.get(name(place.segment) or "", "")
            yield Operand(base, name(place.index) or "", place.scale, offset, segment, operand.size)
    if instruction.mnemonic in ("push", "call"):
        yield Operand("rsp", "", 0, -8, "", 8)
    if instruction.mnemonic in ("pop", "ret", "leave"):
        yield Operand("rbp" if instruction.mnemonic == "leave" else "rsp", "", 0, 0, "", 8)
