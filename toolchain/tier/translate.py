"""Translates function bodies from WebAssembly's stack code to what the interpreter runs: cold code.

Cold code is for a register machine. A function's frame is a row of slots of eight bytes: first its locals, the parameters before all
others, then a slot for each place of the stack code's operand stack. Which slot an operand lies in is known here, so an
instruction names its slots, result first, and `local.get` is no instruction at all. A body that needs it is wide: its slots, jumps
and functions are numbers of twice the size. Which functions will be cold makes no difference: one translation serves all choices.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from toolchain.boundary.generate import STACK_POINTER
from toolchain.tier.declarations import Declarations, check_numbers
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import CODE, FUNCTION, IMPORT, TYPE, Module, Reader, leb, text, vector
from toolchain.wasm.instructions import UnknownInstruction, read_body, read_instructions

# Cold code's own opcodes, the same as in interpreter.c; loads, stores and arithmetic keep those of WebAssembly.
UNREACHABLE, COPY, JUMP, JUMP_IF, JUMP_UNLESS, JUMP_TABLE, RETURN, RETURN_VALUE, CALL, CALL_INDIRECT, SELECT = range(11)
CONST8, CONST32, CONST64, GLOBAL_GET, GLOBAL_SET, MEMORY_SIZE, MEMORY_GROW, MEMORY_COPY, MEMORY_FILL = range(11, 20)
MARK, MARKED = 20, 21
_TRUNCATE_SATURATED = 0x18
_INTEGERS = [*range(wasm.I32_EQ, wasm.I32_GE_U + 1), *range(wasm.I64_EQ, wasm.I64_GE_U + 1)]
_INTEGERS += [*range(wasm.I32_ADD, wasm.I32_MUL + 1), *range(wasm.I32_AND, wasm.I32_SHR_U + 1)]
_INTEGERS += [*range(wasm.I64_ADD, wasm.I64_MUL + 1), *range(wasm.I64_AND, wasm.I64_SHR_U + 1)]
_WITH_CONST8 = {opcode: 0xC5 + i for i, opcode in enumerate(_INTEGERS)}  # the second operand is a number of one byte

# A body's head: how it is written, its type, and how many slots are parameters, locals, and all.
HEAD = struct.Struct("<BHHHH")
NARROW, WIDE, KEPT = 1, 2, 3

_REINTERPRET = range(wasm.I32_REINTERPRET_F32, wasm.F64_REINTERPRET_I64 + 1)
_SAME_SLOT = {wasm.I32_WRAP_I64, *_REINTERPRET}  # an i64's low half and a number's bits lie where the number lies


LARGE = 1024
"""From this many bytes on a function can have parts; a mark takes a byte and a moment."""


class Part(NamedTuple):
    """A part of a large function, from a mark to the end of the block around it, where no operand is on the stack."""

    mark: int  # where the mark stands in the cold code, head included: the interpreter can begin there
    begin: int  # where the part begins in the body
    end: int
    depth: int  # how many blocks are open around it


class _TooLarge(Exception):
    """A number does not fit narrow code."""


def _bytes(number: int, size: int) -> bytes:
    if number >> 8 * size:
        raise _TooLarge
    return number.to_bytes(size, "little")


def _number(number: int) -> bytes:
    """Returns a number that is small as a rule; 254 says that two bytes follow, 255 that four do."""
    if number < 254:
        return bytes([number])
    return b"\xfe" + number.to_bytes(2, "little") if number < 1 << 16 else b"\xff" + number.to_bytes(4, "little")


class _Writer:
    """The cold code of one body; it remembers the last instruction, which the next may improve."""

    def __init__(self, wide: bool) -> None:
        self.out = bytearray()
        self._slot_size, self._function_size, self._distance = (2, 4, "<i") if wide else (1, 2, "<h")
        self.barrier()

    def barrier(self) -> None:
        """Forgets the last instruction: a jump may come here."""
        self._begin = 0
        self._opcode = self._result = -1
        self._operand = 0

    def emit(self, opcode: int, *slots: int) -> None:
        """Writes an instruction without a result: opcode and slots."""
        self.barrier()
        self.out.append(opcode)
        self._slots(slots)

    def emit_result(self, opcode: int, *slots: int) -> None:
        """Writes an instruction whose first slot is its result."""
        self._begin, self._opcode, self._operand, self._result = len(self.out), opcode, slots[-1], len(self.out) + 1
        self.out.append(opcode)
        self._slots(slots)

    def emit_const(self, slot: int, bits: int, size: int) -> None:
        """Writes the shortest instruction that puts a number of this many bytes into a slot."""
        number = bits - (1 << 8 * size) if bits >> (8 * size - 1) else bits
        for opcode, form in ((CONST8, "<b"), (CONST32, "<i"), (CONST64, "<q")):
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
            raise _TooLarge from None

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


@dataclass
class _Label:
    """Where a branch can go: a loop's start, or a block's end, which is filled in when it is reached."""

    height: int
    results: int
    start: int | None = None
    jumps: list[int] = field(default_factory=list)
    otherwise: int | None = None
    dead: bool = False  # nothing ever runs this block
    marks: list[tuple[int, int]] = field(default_factory=list)  # in the cold code and in the body

    @property
    def carries(self) -> bool:
        """Whether a branch to this label takes a value along."""
        return self.start is None and self.results > 0


class _Translation:
    """One body on its way to cold code."""

    def __init__(self, declarations: Declarations, index: int, data: bytes, wide: bool) -> None:
        self.declarations = declarations
        self.type = declarations.functions[index]
        kind = declarations.callable(self.type)
        own, self.code = read_body(data)
        check_numbers(own, "a local")
        self.parameters, self.results = len(kind.parameters), len(kind.results)
        self.locals = self.parameters + len(own)
        self.frame = self.locals + 1
        self.wide = wide
        self.writer = _Writer(wide)
        # The slot of each operand: its place, or, until that is written to, the local that it was read from.
        self.stack: list[int] = []
        self.labels = [_Label(0, self.results)]
        self.reachable = True
        self.large = len(data) >= LARGE
        self.parts: list[Part] = []

    def run(self) -> bytes:
        """Returns the cold code with its head."""
        for opcode, operands in read_instructions(self.code):
            if opcode in (wasm.BLOCK, wasm.LOOP, wasm.IF):
                self._begin(opcode, operands[0])
                if opcode == wasm.IF:
                    self._mark()
            elif opcode == wasm.ELSE:
                self._end_parts()
                self._else()
                self._mark()
            elif opcode == wasm.END:
                self._end_parts()
                self._end()
                self._mark()
            elif self.reachable:
                self._instruction(opcode, operands)
                if opcode == wasm.BR_IF:
                    self._mark()
        head = HEAD.pack(WIDE if self.wide else NARROW, self.type, self.parameters, self.locals, self.frame)
        return head + self.writer.out

    # ---- parts

    def _mark(self) -> None:
        """Begins a part here, where the interpreter sees whether it is ever reached."""
        if self.large and self.reachable and self.labels and not self.stack:
            self.labels[-1].marks.append((HEAD.size + len(self.writer.out), self.code.position))
            self.writer.emit(MARK)

    def _end_parts(self) -> None:
        end, depth = self.code.position - 1, len(self.labels) - 1
        self.parts += [Part(mark, begin, end, depth) for mark, begin in self.labels[-1].marks]
        self.labels[-1].marks.clear()

    # ---- the operand stack

    def _place(self, height: int) -> int:
        """Returns the slot that belongs to a height of the operand stack."""
        slot = self.locals + height
        self.frame = max(self.frame, slot + 1)
        return slot

    def _push(self) -> int:
        slot = self._place(len(self.stack))
        self.stack.append(slot)
        return slot

    def _move(self, slot: int, new: int) -> None:
        """Puts an operand that nothing else will read from this slot into another one."""
        if slot != new and not (slot >= self.locals and self.writer.redirect(slot, new)):
            self.writer.emit_result(COPY, new, slot)

    def _settle(self) -> None:
        """Puts all operands into their places: what follows may be reached by a jump, or write to locals on one way only."""
        for height, slot in enumerate(self.stack):
            self._move(slot, self._place(height))
            self.stack[height] = self._place(height)

    # ---- control

    def _begin(self, opcode: int, block_type: int) -> None:
        if not self.reachable:
            self.labels.append(_Label(0, 0, dead=True))
            return
        results = self._block_results(block_type)
        condition = self._condition(JUMP_UNLESS) if opcode == wasm.IF else None
        self._settle()
        label = _Label(len(self.stack), results)
        if condition:
            self.writer.emit(*condition)
            label.otherwise = self.writer.distance()
        elif opcode == wasm.LOOP:
            self.writer.barrier()
            label.start = len(self.writer.out)
        self.labels.append(label)

    def _block_results(self, block_type: int) -> int:
        if block_type == -0x40:
            return 0
        if -4 <= block_type < 0:  # a number
            return 1
        if block_type < 0:
            raise UnknownInstruction("a block with a result that is no number")
        kind = self.declarations.callable(self.declarations.numbers[block_type])
        if kind.parameters:
            raise UnknownInstruction("a block with parameters")
        return len(kind.results)

    def _condition(self, jump: int) -> tuple[int, int]:
        """Pops a condition and returns the instruction that jumps by it: its opcode, the given one or its opposite, and a slot."""
        slot = self.stack.pop()
        negated = self.writer.take_back(wasm.I32_EQZ, slot) if slot >= self.locals else None
        if negated is None:
            return jump, slot
        return (JUMP_IF if jump == JUMP_UNLESS else JUMP_UNLESS), negated

    def _else(self) -> None:
        label = self.labels[-1]
        if label.dead:
            return
        if self.reachable:
            self._jump(label)
        self._otherwise(label)
        self.reachable = True

    def _otherwise(self, label: _Label) -> None:
        assert label.otherwise is not None
        self.writer.land(label.otherwise, len(self.writer.out))
        self.writer.barrier()
        label.otherwise = None
        del self.stack[label.height :]

    def _end(self) -> None:
        label = self.labels.pop()
        if label.dead:
            return
        outermost = not self.labels
        if self.reachable and label.results and not (outermost and not label.jumps):
            self._move(self.stack[-1], self._place(label.height))
            self.stack[-1] = self._place(label.height)
        if label.otherwise is not None:
            self._otherwise(label)
            self.reachable = True
        if label.jumps:
            for position in label.jumps:
                self.writer.land(position, len(self.writer.out))
            self.writer.barrier()
            self.reachable = True
            del self.stack[label.height :]
            if label.results:
                self._push()
        if not self.reachable:
            del self.stack[label.height :]
            # Nothing reads it; the height is what counts.
            self.stack += [self._place(label.height)] * label.results
        elif outermost:
            self._return()

    def _return(self) -> None:
        if self.results:
            self.writer.emit(RETURN_VALUE, self.stack[-1])
        else:
            self.writer.emit(RETURN)

    def _jump(self, label: _Label) -> None:
        """Writes a jump to a label; whatever is written next is reached some other way."""
        if label.carries:
            self._move(self.stack[-1], self._place(label.height))
        self.writer.emit(JUMP)
        self._aim(label)

    def _aim(self, label: _Label) -> None:
        position = self.writer.distance()
        if label.start is None:
            label.jumps.append(position)
        else:
            self.writer.land(position, label.start)

    def _branch(self, depth: int) -> None:
        if depth == len(self.labels) - 1:
            self._return()
        else:
            self._jump(self.labels[-1 - depth])
        self.reachable = False

    def _branch_if(self, depth: int) -> None:
        label = self.labels[-1 - depth]
        if not label.carries or self.stack[-2] == self._place(label.height):
            self.writer.emit(*self._condition(JUMP_IF))
            self._aim(label)
            return
        # The value moves only if the branch is taken.
        self.writer.emit(*self._condition(JUMP_UNLESS))
        beyond = self.writer.distance()
        self._jump(label)
        self.writer.land(beyond, len(self.writer.out))

    def _branch_table(self, depths: tuple[int, ...]) -> None:
        self.writer.emit(JUMP_TABLE, self.stack.pop())
        self.writer.out += _number(len(depths) - 1)
        positions = [(self.writer.distance(), self.labels[-1 - depth]) for depth in depths]
        pads: dict[int, int] = {}  # where a value is moved before the jump goes on
        for position, label in positions:
            if label.carries and self.stack[-1] != self._place(label.height):
                if id(label) not in pads:
                    pads[id(label)] = len(self.writer.out)
                    self._jump(label)
                self.writer.land(position, pads[id(label)])
            elif label.start is None:
                label.jumps.append(position)
            else:
                self.writer.land(position, label.start)
        self.reachable = False

    # ---- everything else

    def _instruction(self, opcode: int, operands: tuple[int, ...]) -> None:
        writer, stack = self.writer, self.stack
        if opcode == wasm.LOCAL_GET:
            stack.append(operands[0])
        elif opcode in (wasm.LOCAL_SET, wasm.LOCAL_TEE):
            self._set_local(operands[0], stack.pop())
            if opcode == wasm.LOCAL_TEE:
                stack.append(operands[0])
        elif opcode in wasm.BINARY:
            second, first = stack.pop(), stack.pop()
            small = writer.take_back(CONST8, second) if opcode in _WITH_CONST8 and second >= self.locals else None
            if small is None:
                writer.emit_result(opcode, self._push(), first, second)
            else:
                writer.emit_result(_WITH_CONST8[opcode], self._push(), first)
                writer.out += small.to_bytes(1, "little", signed=True)
        elif opcode in _SAME_SLOT:
            pass
        elif opcode in wasm.UNARY:
            operand = stack.pop()
            writer.emit_result(opcode, self._push(), operand)
        elif opcode in wasm.LOADS:
            self._check_one_memory(operands)
            address = stack.pop()
            writer.emit_result(opcode, self._push(), address)
            writer.out += _number(operands[1])
        elif opcode in wasm.STORES:
            self._check_one_memory(operands)
            value, address = stack.pop(), stack.pop()
            writer.emit(opcode, address, value)
            writer.out += _number(operands[1])
        elif opcode in (wasm.I32_CONST, wasm.F32_CONST):
            writer.emit_const(self._push(), operands[0] & 0xFFFF_FFFF, 4)
        elif opcode in (wasm.I64_CONST, wasm.F64_CONST):
            writer.emit_const(self._push(), operands[0] & 0xFFFF_FFFF_FFFF_FFFF, 8)
        elif opcode == wasm.BR:
            self._branch(operands[0])
        elif opcode == wasm.BR_IF:
            self._branch_if(operands[0])
        elif opcode == wasm.BR_TABLE:
            self._branch_table(operands)
        elif opcode == wasm.CALL:
            function = self.declarations.functions[operands[0]]
            self._call(CALL, writer.function(operands[0]), function)
        elif opcode == wasm.CALL_INDIRECT:
            if operands[1]:
                raise UnknownInstruction("a call through another table than the first")
            self._call_indirect(self.declarations.numbers[operands[0]])
        else:
            self._rare(opcode, operands)

    def _rare(self, opcode: int, operands: tuple[int, ...]) -> None:
        writer, stack = self.writer, self.stack
        if opcode == wasm.RETURN:
            self._return()
            self.reachable = False
        elif opcode == wasm.UNREACHABLE:
            writer.emit(UNREACHABLE)
            self.reachable = False
        elif opcode == wasm.DROP:
            stack.pop()
        elif opcode in (wasm.SELECT, wasm.SELECT_TYPED):
            check_numbers(bytes(operands), "a select")
            condition, second, first = stack.pop(), stack.pop(), stack.pop()
            writer.emit_result(SELECT, self._push(), first, second, condition)
        elif opcode == wasm.GLOBAL_GET:
            check_numbers(bytes([self.declarations.globals[operands[0]][0]]), "a global")
            writer.emit_result(GLOBAL_GET, self._push())
            writer.out += _number(operands[0])
        elif opcode == wasm.GLOBAL_SET:
            check_numbers(bytes([self.declarations.globals[operands[0]][0]]), "a global")
            writer.emit(GLOBAL_SET, stack.pop())
            writer.out += _number(operands[0])
        elif opcode in (wasm.MEMORY_SIZE, wasm.MEMORY_COPY, wasm.MEMORY_FILL, wasm.MEMORY_GROW) and any(operands):
            raise UnknownInstruction("another memory than the first")
        elif opcode == wasm.MEMORY_SIZE:
            writer.emit_result(MEMORY_SIZE, self._push())
        elif opcode == wasm.MEMORY_GROW:
            pages = stack.pop()
            writer.emit_result(MEMORY_GROW, self._push(), pages)
        elif opcode in (wasm.MEMORY_COPY, wasm.MEMORY_FILL):
            size, source, to = stack.pop(), stack.pop(), stack.pop()
            writer.emit(MEMORY_COPY if opcode == wasm.MEMORY_COPY else MEMORY_FILL, to, source, size)
        elif opcode in wasm.TRUNCATE_SATURATED:
            operand = stack.pop()
            writer.emit_result(_TRUNCATE_SATURATED + opcode - wasm.TRUNCATE_SATURATED[0], self._push(), operand)
        elif opcode != wasm.NOP:
            raise UnknownInstruction(f"opcode {opcode:#x}")

    @staticmethod
    def _check_one_memory(operands: tuple[int, ...]) -> None:
        if operands[0] & wasm.OTHER_MEMORY:
            raise UnknownInstruction("another memory than the first")

    def _set_local(self, local: int, value: int) -> None:
        if value == local:
            return
        for height, slot in enumerate(self.stack):
            if slot == local:
                self._move(slot, self._place(height))
                self.stack[height] = self._place(height)
        self._move(value, local)

    def _call(self, opcode: int, callee: bytes, number: int) -> None:
        kind = self.declarations.callable(number)
        first = len(self.stack) - len(kind.parameters)
        arguments = self.stack[first:]
        del self.stack[first:]
        # A call without a result has a slot for it nevertheless, and nothing reads it.
        result = self._push() if kind.results else self._place(first)
        self.writer.emit_call(opcode, callee, [*arguments, result])

    def _call_indirect(self, number: int) -> None:
        index = self.stack.pop()
        count = len(self.declarations.callable(number).parameters)
        self._call(CALL_INDIRECT, _number(number) + _number(count) + self.writer.slot(index), number)


def _translate_body(declarations: Declarations, index: int, body: bytes) -> tuple[bytes, list[Part]]:
    try:
        translation = _Translation(declarations, index, body, wide=False)
        return translation.run(), translation.parts
    except _TooLarge:
        pass
    try:
        translation = _Translation(declarations, index, body, wide=True)
        return translation.run(), translation.parts
    except _TooLarge:
        raise UnknownInstruction("more locals than the interpreter has numbers for") from None


@dataclass(frozen=True)
class Translation:
    """The cold code of a module's functions by index, the parts of the large ones, and why others must stay compiled."""

    digest: bytes
    bodies: dict[int, bytes]
    parts: dict[int, list[Part]]
    unknown: dict[int, str]
    stack_pointer: int | None
    """The global that points into the shadow stack, if the module says which (stackguard.py)."""

    def encode(self) -> bytes:
        """Returns the bytes of a file that holds the translation."""
        bodies = vector(leb(index) + leb(len(code)) + code for index, code in self.bodies.items())
        parts = vector(
            leb(index) + vector(b"".join(map(leb, part)) for part in parts) for index, parts in self.parts.items()
        )
        unknown = vector(leb(index) + text(why) for index, why in self.unknown.items())
        pointer = vector(leb(index) for index in (self.stack_pointer,) if index is not None)
        return self.digest + bodies + parts + unknown + pointer


def digest(module: Module) -> bytes:
    """Returns what tells translations apart: a digest of all that they are made from."""
    # Not the globals: a snapshot changes their values, never their types.
    sections = (module.get(i) for i in (TYPE, IMPORT, FUNCTION, CODE))
    return hashlib.sha256(b"".join(leb(len(body)) + body for body in sections)).digest()


def translate(module: Module) -> Translation:
    """Returns the translation of a module's functions."""
    declarations = Declarations(module)
    bodies, parts, unknown = {}, {}, {}
    for index, body in enumerate(module.bodies(), declarations.imported):
        try:
            bodies[index], found = _translate_body(declarations, index, body)
            if found:
                parts[index] = sorted(found, key=lambda part: part.begin)
        except UnknownInstruction as error:
            unknown[index] = str(error)
    pointer = next((e.index for e in module.exports() if e.name == STACK_POINTER), None)
    return Translation(digest(module), bodies, parts, unknown, pointer)


def read_translation(data: bytes) -> Translation:
    """Returns what `Translation.encode` wrote."""
    reader = Reader(data)
    made_from = reader.take(hashlib.sha256().digest_size)
    bodies = {reader.u32(): reader.take(reader.u32()) for _ in reader.repeat()}
    parts = {
        reader.u32(): [Part(*(reader.u32() for _ in Part._fields)) for _ in reader.repeat()] for _ in reader.repeat()
    }
    unknown = {reader.u32(): reader.name() for _ in reader.repeat()}
    return Translation(made_from, bodies, parts, unknown, next((reader.u32() for _ in reader.repeat()), None))
