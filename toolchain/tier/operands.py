"""Where the operands of WebAssembly's stack are, while a body is translated: each in a slot of the frame."""

from __future__ import annotations

from toolchain.tier import contract as cold
from toolchain.tier.writer import Writer


class Operands:
    """The operand stack of one body. Behind the locals there is a slot for each height of the stack: an operand's own place."""

    def __init__(self, writer: Writer, count: int) -> None:
        self.locals = count
        """How many locals there are, parameters included: the slots before the first place."""

        self.frame = count + 1
        """How many slots are in use, at most."""

        self.stack: list[int] = []
        """The slot of each operand: its own place, or, until that is written to, the local that it was read from."""

        self._writer = writer

    def place(self, height: int) -> int:
        """Returns the slot that belongs to a height of the stack."""
        slot = self.locals + height
        self.frame = max(self.frame, slot + 1)
        return slot

    def push(self) -> int:
        """Puts an operand on the stack that is about to be written, and returns its slot."""
        slot = self.place(len(self.stack))
        self.stack.append(slot)
        return slot

    def move(self, slot: int, new: int) -> None:
        """Puts an operand that nothing else will read from this slot into another one."""
        if slot != new and not (slot >= self.locals and self._writer.redirect(slot, new)):
            self._writer.emit_result(cold.COPY, new, slot)

    def settle(self) -> None:
        """Puts all operands into their places: what follows may be reached by a jump, or write to locals on one way only."""
        for height, slot in enumerate(self.stack):
            self.move(slot, self.place(height))
            self.stack[height] = self.place(height)

    def set_local(self, local: int, value: int) -> None:
        """Puts an operand into a local. Operands that were read from the local before go to their own places first."""
        if value == local:
            return
        for height, slot in enumerate(self.stack):
            if slot == local:
                self.move(slot, self.place(height))
                self.stack[height] = self.place(height)
        self.move(value, local)
