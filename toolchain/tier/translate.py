"""Translates function bodies from WebAssembly's stack code to what the interpreter runs: cold code.

Cold code is for a register machine. A function's frame is a row of slots of eight bytes: first its locals, the parameters before all
others, then a slot for each place of the stack code's operand stack. Which slot an operand lies in is known here, so an
instruction names its slots, result first, and `local.get` is no instruction at all. A body whose jumps go far has longer numbers for
them. One with more slots than a byte can name is wide: slots, jumps and functions are numbers of twice the size. Which functions will be
cold makes no difference: one translation serves all choices.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from toolchain.boundary.generate import STACK_POINTER
from toolchain.tier import contract as cold
from toolchain.tier.contract import HEAD, NARROW, WIDE
from toolchain.tier.declarations import Declarations, check_numbers
from toolchain.tier.operands import Operands
from toolchain.tier.translation import Part, Translation, digest
from toolchain.tier.writer import TooLarge, Writer, small
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.format import Module
from toolchain.wasm.instructions import UnknownInstruction, read_body, read_instructions

_REINTERPRET = range(wasm.I32_REINTERPRET_F32, wasm.F64_REINTERPRET_I64 + 1)
_VARIABLES = {*range(wasm.LOCAL_GET, wasm.GLOBAL_SET + 1)}
_CONSTANTS = {wasm.I32_CONST: 32, wasm.I64_CONST: 64, wasm.F32_CONST: 32, wasm.F64_CONST: 64}
_OF_MEMORIES = {wasm.MEMORY_SIZE, wasm.MEMORY_GROW, wasm.MEMORY_COPY, wasm.MEMORY_FILL}
_CONTROL = {*range(wasm.BR, wasm.CALL_INDIRECT + 1), wasm.UNREACHABLE}
_NO_RESULT = -0x40  # as a block's type
_ANOTHER_MEMORY = "another memory than the first"
_SAME_SLOT = {wasm.I32_WRAP_I64, *_REINTERPRET}  # an i64's low half and a number's bits lie where the number lies


LARGE = 128
"""From this many bytes on a function can have parts; a mark takes a byte and a moment."""


@dataclass
class _Label:
    """Where a branch can go: a loop's start, or a block's end, which is filled in when it is reached."""

    height: int  # of the operand stack below the block
    results: int
    start: int | None = None  # of a loop
    jumps: list[int] = field(default_factory=list)  # where distances to the block's end are yet to be filled in
    otherwise: int | None = None  # where the distance to `else`, or to the end without one, is yet to be filled in
    dead: bool = False  # nothing ever runs this block
    marks: list[tuple[int, int]] = field(default_factory=list)  # in the cold code and in the body

    @property
    def carries(self) -> bool:
        """Whether a branch to this label takes a value along."""
        return self.start is None and self.results > 0


class _Translation:
    """One body on its way to cold code."""

    def __init__(
        self, declarations: Declarations, index: int, data: bytes, wide: bool = False, far: bool = False
    ) -> None:
        self.declarations = declarations
        self.type = declarations.functions[index]
        kind = declarations.callable(self.type)
        own, self.code = read_body(data)
        check_numbers(own, "a local")
        self.parameters, self.results = len(kind.parameters), len(kind.results)
        self.wide = wide
        self.writer = Writer(wide, far)
        self.operands = Operands(self.writer, self.parameters + len(own))
        self.stack = self.operands.stack
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
        head = HEAD.form.pack(
            WIDE if self.wide else NARROW, self.type, self.parameters, self.operands.locals, self.operands.frame
        )
        return head + self.writer.out

    # ---- parts

    def _mark(self) -> None:
        """Begins a part here, where the interpreter sees whether it is ever reached."""
        if self.large and self.reachable and self.labels and not self.stack:
            self.labels[-1].marks.append((HEAD.form.size + len(self.writer.out), self.code.position))
            self.writer.emit(cold.MARK)

    def _end_parts(self) -> None:
        end, depth = self.code.position - 1, len(self.labels) - 1
        self.parts += [Part(mark, begin, end, depth) for mark, begin in self.labels[-1].marks]
        self.labels[-1].marks.clear()

    # ---- control

    def _begin(self, opcode: int, block_type: int) -> None:
        if not self.reachable:
            self.labels.append(_Label(0, 0, dead=True))
            return
        results = self._block_results(block_type)
        condition = self._condition(cold.JUMP_UNLESS) if opcode == wasm.IF else None
        self.operands.settle()
        label = _Label(len(self.stack), results)
        if condition:
            self.writer.emit(*condition)
            label.otherwise = self.writer.distance()
        elif opcode == wasm.LOOP:
            self.writer.barrier()
            label.start = len(self.writer.out)
        self.labels.append(label)

    def _block_results(self, block_type: int) -> int:
        if block_type == _NO_RESULT:
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
        negated = self.writer.take_back(wasm.I32_EQZ, slot) if slot >= self.operands.locals else None
        if negated is None:
            return jump, slot
        return (cold.JUMP_IF if jump == cold.JUMP_UNLESS else cold.JUMP_UNLESS), negated

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
            self.operands.move(self.stack[-1], self.operands.place(label.height))
            self.stack[-1] = self.operands.place(label.height)
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
                self.operands.push()
        if not self.reachable:
            del self.stack[label.height :]
            # Nothing reads it; the height is what counts.
            self.stack += [self.operands.place(label.height)] * label.results
        elif outermost:
            self._return()

    def _return(self) -> None:
        if self.results:
            self.writer.emit(cold.RETURN_VALUE, self.stack[-1])
        else:
            self.writer.emit(cold.RETURN)

    def _jump(self, label: _Label) -> None:
        """Writes a jump to a label; whatever is written next is reached some other way."""
        if label.carries:
            self.operands.move(self.stack[-1], self.operands.place(label.height))
        self.writer.emit(cold.JUMP)
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
        if not label.carries or self.stack[-2] == self.operands.place(label.height):
            self.writer.emit(*self._condition(cold.JUMP_IF))
            self._aim(label)
            return
        # The value moves only if the branch is taken.
        self.writer.emit(*self._condition(cold.JUMP_UNLESS))
        beyond = self.writer.distance()
        self._jump(label)
        self.writer.land(beyond, len(self.writer.out))

    def _branch_table(self, depths: tuple[int, ...]) -> None:
        self.writer.emit(cold.JUMP_TABLE, self.stack.pop())
        self.writer.out += small(len(depths) - 1)
        positions = [(self.writer.distance(), self.labels[-1 - depth]) for depth in depths]
        pads: dict[int, int] = {}  # where a value is moved before the jump goes on
        for position, label in positions:
            if label.carries and self.stack[-1] != self.operands.place(label.height):
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
        if opcode in _VARIABLES:
            self._variable(opcode, operands[0])
        elif opcode in _CONSTANTS:
            bits = _CONSTANTS[opcode]
            self.writer.emit_const(self.operands.push(), operands[0] & ((1 << bits) - 1), bits // 8)
        elif opcode in wasm.BINARY:
            self._binary(opcode)
        elif opcode in _SAME_SLOT:
            pass
        elif opcode in wasm.UNARY:
            operand = self.stack.pop()
            self.writer.emit_result(opcode, self.operands.push(), operand)
        elif opcode in wasm.TRUNCATE_SATURATED:
            operand = self.stack.pop()
            instead = cold.TRUNCATE_SATURATED + opcode - wasm.TRUNCATE_SATURATED[0]
            self.writer.emit_result(instead, self.operands.push(), operand)
        elif opcode in wasm.LOADS or opcode in wasm.STORES:
            self._access(opcode, *operands)
        elif opcode in _OF_MEMORIES:
            self._of_memory(opcode, operands)
        elif opcode in _CONTROL:
            self._control(opcode, operands)
        elif opcode == wasm.DROP:
            self.stack.pop()
        elif opcode in (wasm.SELECT, wasm.SELECT_TYPED):
            self._select(bytes(operands))
        elif opcode != wasm.NOP:
            raise UnknownInstruction(f"opcode {opcode:#x}")

    def _control(self, opcode: int, operands: tuple[int, ...]) -> None:
        if opcode == wasm.BR:
            self._branch(operands[0])
        elif opcode == wasm.BR_IF:
            self._branch_if(operands[0])
        elif opcode == wasm.BR_TABLE:
            self._branch_table(operands)
        elif opcode == wasm.CALL:
            self._call(cold.CALL, self.writer.function(operands[0]), self.declarations.functions[operands[0]])
        elif opcode == wasm.CALL_INDIRECT:
            if operands[1]:
                raise UnknownInstruction("a call through another table than the first")
            self._call_indirect(self.declarations.numbers[operands[0]])
        elif opcode == wasm.RETURN:
            self._return()
            self.reachable = False
        else:
            self.writer.emit(cold.UNREACHABLE)
            self.reachable = False

    def _variable(self, opcode: int, index: int) -> None:
        if opcode == wasm.LOCAL_GET:
            self.stack.append(index)
        elif opcode == wasm.LOCAL_SET:
            self.operands.set_local(index, self.stack.pop())
        elif opcode == wasm.LOCAL_TEE:
            self.operands.set_local(index, self.stack.pop())
            self.stack.append(index)
        else:
            check_numbers(bytes([self.declarations.globals[index][0]]), "a global")
            if opcode == wasm.GLOBAL_GET:
                self.writer.emit_result(cold.GLOBAL_GET, self.operands.push())
            else:
                self.writer.emit(cold.GLOBAL_SET, self.stack.pop())
            self.writer.out += small(index)

    def _binary(self, opcode: int) -> None:
        second, first = self.stack.pop(), self.stack.pop()
        with_const8 = cold.WITH_CONST8.get(opcode) if second >= self.operands.locals else None
        number = None if with_const8 is None else self.writer.take_back(cold.CONST8, second)
        if with_const8 is None or number is None:
            self.writer.emit_result(opcode, self.operands.push(), first, second)
        else:
            self.writer.emit_result(with_const8, self.operands.push(), first)
            self.writer.out += number.to_bytes(1, "little", signed=True)

    def _select(self, types: bytes) -> None:
        check_numbers(types, "a select")
        condition, second, first = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.writer.emit_result(cold.SELECT, self.operands.push(), first, second, condition)

    def _access(self, opcode: int, alignment: int, offset: int, memory: int = 0) -> None:
        if alignment & wasm.OTHER_MEMORY:
            raise UnknownInstruction(_ANOTHER_MEMORY)
        if offset >> 32:
            raise UnknownInstruction("an address of more than 32 bits")
        if opcode in wasm.LOADS:
            address = self.stack.pop()
            self.writer.emit_result(opcode, self.operands.push(), address)
        else:
            value, address = self.stack.pop(), self.stack.pop()
            self.writer.emit(opcode, address, value)
        self.writer.out += small(offset)

    def _of_memory(self, opcode: int, memories: tuple[int, ...]) -> None:
        if any(memories):
            raise UnknownInstruction(_ANOTHER_MEMORY)
        if opcode == wasm.MEMORY_SIZE:
            self.writer.emit_result(cold.MEMORY_SIZE, self.operands.push())
        elif opcode == wasm.MEMORY_GROW:
            pages = self.stack.pop()
            self.writer.emit_result(cold.MEMORY_GROW, self.operands.push(), pages)
        else:
            size, source, to = self.stack.pop(), self.stack.pop(), self.stack.pop()
            self.writer.emit(cold.MEMORY_COPY if opcode == wasm.MEMORY_COPY else cold.MEMORY_FILL, to, source, size)

    def _call(self, opcode: int, callee: bytes, number: int) -> None:
        kind = self.declarations.callable(number)
        first = len(self.stack) - len(kind.parameters)
        arguments = self.stack[first:]
        del self.stack[first:]
        # A call without a result has a slot for it nevertheless, and nothing reads it.
        result = self.operands.push() if kind.results else self.operands.place(first)
        self.writer.emit_call(opcode, callee, [*arguments, result])

    def _call_indirect(self, number: int) -> None:
        index = self.stack.pop()
        count = len(self.declarations.callable(number).parameters)
        self._call(cold.CALL_INDIRECT, small(number) + small(count) + self.writer.slot(index), number)


def _translate_body(declarations: Declarations, index: int, body: bytes) -> tuple[bytes, list[Part]]:
    for wide, far in ((False, False), (False, True), (True, False)):
        translation = _Translation(declarations, index, body, wide, far)
        with contextlib.suppress(TooLarge):
            return translation.run(), translation.parts
    raise UnknownInstruction("more locals than the interpreter has numbers for")


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
