"""Assembles a tiered module: cold bodies become data, stubs call the interpreter instead, and the rest stays as it is.

A second memory holds the interpreter's tables, the room for cold code, and the value stack: nothing of the module's own can reach it, and
what overruns the module's memory traps as before. Cold code is a passive data segment, in compressed blocks, of which the interpreter
takes those that it calls: the rest takes no memory in any VM. What the memories hold at the start is there too, for `_initialize`,
which a proxy calls first. A second table holds the interpreter's ways out: for each type of function one that calls through the
module's own table, one that calls a kept function of that type, and then the kept functions; last come the interpreter's own.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from toolchain.guard.stackguard import take
from toolchain.tier.declarations import NUMBERS, Declarations
from toolchain.tier.functions import Functions, read_elements
from toolchain.tier.memories import DAMAGED, OVERRUN, SLOT, STATE, Memories, Places
from toolchain.tier.pack import ENTRY, FETCHED, Block, checksum, cut, entries, pack_bodies, pack_image, segment
from toolchain.tier.parts import split, unreached
from toolchain.tier.translate import HEAD, KEPT, MARKED, Part, Translation, digest, translate
from toolchain.tools import ToolchainError
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import (
    DROP,
    I32_ADD,
    I32_EQ,
    I32_SHL,
    RETURN,
    UNREACHABLE,
    access,
    call,
    call_indirect,
    data_segment,
    element_segment,
    expression,
    function_body,
    global_get,
    global_set,
    i32_const,
    if_then,
    load,
    local_get,
    local_set,
    memory_copy,
    memory_fill,
    memory_grow,
    memory_init,
    memory_size,
    passive_segment,
    store,
)
from toolchain.wasm.format import (
    CODE,
    DATA,
    DATA_COUNT,
    ELEMENT,
    FUNC_KIND,
    FUNCREF,
    FUNCTION,
    I32,
    START,
    TABLE,
    TABLE_KIND,
    Export,
    FunctionType,
    Global,
    Module,
    Reader,
    leb,
    limits,
    sized,
    vector,
)
from toolchain.wasm.instructions import UnknownInstruction, read_body, read_instructions

FORGET = "cold_tier_forget"
"""What a module for a training exports: a function after which nothing counts as called."""

_COLD_CALL = 768
"""What a call may take of the engine's stack, in bytes, on its way from compiled code through the interpreter to compiled code."""

_CRITICAL = 5
_INITIALIZE = "_initialize"
_NONE = 0xFFFF_FFFF
_OF_MEMORIES = {wasm.MEMORY_SIZE, wasm.MEMORY_GROW, wasm.MEMORY_INIT, wasm.MEMORY_COPY, wasm.MEMORY_FILL}


def _instruction(opcode: int) -> bytes:
    """Encodes an instruction on the module's own memory: it takes what it needs from the stack alone."""
    if opcode in wasm.LOADS or opcode in wasm.STORES:
        return access(opcode, 0, 0)
    return {
        wasm.MEMORY_SIZE: memory_size(),
        wasm.MEMORY_GROW: memory_grow(),
        wasm.MEMORY_COPY: memory_copy(),
        wasm.MEMORY_FILL: memory_fill(),
    }[opcode]


Reached = Mapping[int, Collection[int]]
"""Marks (`translate.Part`) by function."""


class _Assembly:
    """A module on its way to a tiered one."""

    def __init__(
        self,
        module: Module,
        kept: Sequence[int],
        translation: Translation,
        interpreter: bytes,
        training: bool,
        reached: Reached,
        started: Collection[int],
    ) -> None:
        self.module = module
        self.declarations = Declarations(module)
        self.memories = Memories(module, training)
        kept = [function for function in dict.fromkeys(kept) if function >= self.declarations.imported]
        self.kept = sorted({*kept, *range(self.declarations.imported)})
        self.count = len(self.declarations.functions)
        self.types = module.types()
        self.added: list[tuple[int, bytes]] = []
        self.cold_parts = {f: unreached(translation.parts[f], reached[f]) for f in self.kept if f in reached}
        elements = None if translation.unknown else read_elements(module)
        self.elements = elements or []
        self.functions = Functions(module, self.declarations, kept, self.cold_parts, elements is not None)
        self.offsets, bodies = self._lay_out(translation, training, started)
        widest = max((len(kind.parameters) for kind in self.declarations.kinds), default=0)
        for function in self.cold_parts:
            widest = max(widest, HEAD.unpack_from(translation.bodies[function])[3])
        numbers = [_NONE if function is None else function for function in self.elements] + self.offsets
        tables = struct.pack(f"<{len(numbers)}I", *numbers)
        memory = self._image() if not training else None
        image = [] if memory is None else [*pack_image(memory)]
        packed = [] if memory is None else [*image, *pack_image(tables)]
        self.places = Places(self.memories.begin, len(tables), packed, bodies, widest)
        self.stack_global = len(self.declarations.globals)
        self.element_global = self.stack_global + 1
        own_tables = self._tables()
        self.table, self.calls_through_table = len(own_tables), own_tables[:1] == [FUNCREF]
        self.passive = 1 if packed else Reader(module.get(DATA)).u32() + 1
        self.stack_pointer = translation.stack_pointer
        linked = self._link(Module(interpreter))
        compiled = [self.functions.index[function] for function in self.kept]
        table = [*self._ways_out(), *compiled, linked["run_narrow"], linked["run_wide"], linked["fetch"]]
        ways_in = self._ways_in(linked["run"])
        self._put_bodies(ways_in, linked["resume"])
        self.functions.put(module, self._shared(ways_in))
        if packed:
            self._unpack_first(linked["fetch"])
        if training:
            everything = i32_const(self.places.bodies) + i32_const(0) + i32_const(self.places.end - self.places.bodies)
            forget = self._add(b"", b"", function_body(everything, memory_fill()))
            module.put_exports([*module.exports(), Export(FORGET, FUNC_KIND, forget)])
        self._put_functions()
        self.memories.put(self.places.pages)
        own_globals = (Global(I32, True, expression(i32_const(number))) for number in (self.places.stack, 0))
        module.put_globals([*module.globals(), *own_globals])
        self._append(TABLE, 1, bytes([FUNCREF]) + limits(len(table)))
        self._append(ELEMENT, 1, element_segment(0, table, self.table))
        self._put_data(len(image), packed, bodies, tables, loops=len(table) - 3)

    # ---- what the interpreter reads

    def _lay_out(
        self, translation: Translation, training: bool, started: Collection[int]
    ) -> tuple[list[int], list[Block]]:
        """Returns where each function's body is among all bodies, and these in blocks; a kept function's is only a head."""
        entry = {function: 2 * len(self.declarations.kinds) + i for i, function in enumerate(self.kept)}
        bodies = []
        for function, kind in enumerate(self.declarations.functions):
            if function in entry:
                parameters = len(self.declarations.kinds[kind].parameters)
                bodies.append(HEAD.pack(KEPT, kind, parameters, entry[function], 0))
            else:
                bodies.append(translation.bodies[function])
        # A kept function with cold parts has its cold body too, as one more function that nobody calls.
        bodies += [translation.bodies[function] for function in self.cold_parts]
        # What a start calls lies together, so that most blocks stay packed. A training asks for functions: there each is a block.
        first = {*entry, *started}
        order = range(len(bodies)) if training else sorted(range(len(bodies)), key=lambda number: number not in first)
        offsets, end = [0] * len(bodies), 0
        for number in order:
            offsets[number] = end
            end += len(bodies[number])
        if training:
            return offsets, [*pack_bodies(bodies, compressed=False)]
        ordered = [bodies[number] for number in order]
        blocks = [*cut(ordered[: len(first)]), *cut(ordered[len(first) :])]
        return offsets, [*pack_bodies(blocks, compressed=True)]

    def _put_data(
        self, image: int, packed: Sequence[Block], bodies: Sequence[Block], tables: bytes, loops: int
    ) -> None:
        """Lays down what the interpreter reads; of the blocks `packed` the first `image` are the module's memory, if any are."""
        places, module = self.places, self.module
        blocks = [*packed, *(replace(block, at=places.bodies + block.at) for block in bodies)]
        table_of_blocks, passive = entries(blocks), segment(blocks)
        state = STATE.pack(
            places.elements + 4 * len(self.elements),
            places.bodies,
            places.blocks,
            len(blocks),
            image,
            len(packed),
            places.room,
            places.limit,
            places.elements,
            len(self.elements),
            len(self.declarations.kinds),
            loops,
            checksum(table_of_blocks + passive),
        )
        head = state + OVERRUN + DAMAGED
        head += bytes(places.blocks - places.state - len(head)) + table_of_blocks
        at = places.state
        if packed:
            module.put(DATA, b"\0")
        else:
            at, head = places.elements, tables + head
        self._append(DATA, 2, data_segment(at, head, self.memories.tier) + passive_segment(passive))
        module.put(DATA_COUNT, leb(self.passive + 1))

    # ---- sections

    def _append(self, section: int, count: int, items: bytes) -> None:
        reader = Reader(self.module.get(section))
        self.module.put(section, leb(reader.u32() + count) + reader.data[reader.position :] + items)

    def _tables(self) -> list[int]:
        """Returns the types of the module's tables."""
        imported = [i.descriptor[0] for i in self.module.imports() if i.kind == TABLE_KIND]
        return imported + [table.type for table in self.module.tables()]

    def _image(self) -> bytes | None:
        """Returns what the memory holds at the start; None where that is open, or where nothing runs first that could unpack it."""
        first = any(e.name == _INITIALIZE and e.kind == FUNC_KIND for e in self.module.exports())
        if not first or any(section == START for section, _ in self.module.sections):
            return None
        return self.memories.image()

    def _unpack_first(self, unpack: int) -> None:
        """Lets `_initialize` unpack the memories before it does anything."""
        exports = self.module.exports()
        for export in exports:
            if export.name == _INITIALIZE:
                code = i32_const(self.places.state) + i32_const(0) + self._top() + call(unpack) + call(export.index)
                export.index = self._add(b"", b"", function_body(code))
        self.module.put_exports(exports)

    def _type(self, parameters: bytes, results: bytes = b"") -> int:
        kind = FunctionType(parameters, results)
        if kind not in self.types:
            self.types.append(kind)
        return self.types.index(kind)

    def _add(self, parameters: bytes, results: bytes, body: bytes) -> int:
        """Adds a function and returns its index."""
        self.added.append((self._type(parameters, results), body))
        return len(self.functions.index) + len(self.added) - 1

    def _put_functions(self) -> None:
        self.module.put_types(self.types)
        self._append(FUNCTION, len(self.added), b"".join(leb(kind) for kind, _ in self.added))
        self._append(CODE, len(self.added), b"".join(sized(code) for _, code in self.added))

    # ---- functions

    def _top(self) -> bytes:
        return global_get(self.stack_global)

    def _put_bodies(self, ways_in: list[int], resume: int) -> None:
        """Replaces the bodies of cold functions, and the cold parts of others, by calls of the interpreter."""
        kept = set(self.kept)
        before, after = self.module.bodies(), []
        # The cold body of a kept function with cold parts has a number of its own.
        number_of_parts = {function: number for number, function in enumerate(self.cold_parts, self.count)}
        for function in self.functions.defined:
            body, number = before[function - self.declarations.imported], self.declarations.functions[function]
            kind = self.declarations.kinds[number]
            if function in self.cold_parts:
                begin, leave = self._leave(kind, read_body(body).locals, number_of_parts[function], resume)
                parts = self.cold_parts[function]
                body = split(body, len(kind.parameters), kind.results, parts, begin, leave, self._moved)
            elif function in kept:
                if self.functions.movable:
                    start = read_body(body).code.position
                    body = body[:start] + self._moved(body[start:])
            else:
                body = function_body(
                    *map(local_get, range(len(kind.parameters))), i32_const(function), call(ways_in[number])
                )
            after.append(leb(len(body)) + body)
        self.module.put(CODE, vector(after))

    def _moved(self, code: bytes) -> bytes:
        return self.functions.relocate(code, self.element_global)

    def _shared(self, ways_in: list[int]) -> dict[int, int]:
        """Adds for each type what the module's table holds for its cold functions, and returns that by cold function."""
        if not self.functions.movable:
            return {}
        shared: dict[int, int] = {}
        cold = {f for f in self.elements if f is not None and f not in self.functions.index}
        for number in sorted({self.declarations.functions[function] for function in cold}):
            kind = self.declarations.kinds[number]
            called = (
                global_get(self.element_global)
                + i32_const(2)
                + I32_SHL
                + load(I32, self.places.elements, self.memories.tier)
            )
            body = function_body(*map(local_get, range(len(kind.parameters))), called, call(ways_in[number]))
            shared[number] = self._add(kind.parameters, kind.results, body)
        return {function: shared[self.declarations.functions[function]] for function in cold}

    def _leave(self, kind: FunctionType, own: bytes, function: int, resume: int) -> tuple[bytes, bytes]:
        """Returns what a kept function begins with, and what leaves it for the interpreter; see `split`."""
        types = kind.parameters + own
        at, frame, pointer = len(types), len(types) + 1, len(types) + 2
        begin = code = after = b""
        if self.stack_pointer is not None:
            # The interpreter gives back what the function itself took, but cannot know of this.
            begin = global_get(self.stack_pointer) + local_set(pointer)
            code = take(self.stack_pointer, _COLD_CALL)
            after = local_get(pointer) + global_set(self.stack_pointer)
        code += self._top() + i32_const(SLOT) + I32_ADD + local_set(frame)
        for i, number_type in enumerate(types):
            code += local_get(frame) + local_get(i) + store(number_type, SLOT * i, self.memories.tier)
        code += i32_const(self.places.state) + i32_const(function) + local_get(at) + local_get(frame) + call(resume)
        code += local_get(frame) + i32_const(-SLOT) + I32_ADD + global_set(self.stack_global) + after
        return begin, code + b"".join(local_get(frame) + load(result, 0, self.memories.tier) for result in kind.results)

    def _callable(self, number: int) -> FunctionType | None:
        try:
            return self.declarations.callable(number)
        except UnknownInstruction:
            return None

    def _ways_in(self, run: int) -> list[int]:
        """Adds what calls the interpreter, a function for each type, with the cold function's index as last parameter."""
        ways = []
        for number in range(len(self.declarations.kinds)):
            kind = self._callable(number)
            if kind is None:
                ways.append(-1)  # no function of this type is cold
                continue
            count = len(kind.parameters)
            frame = count + 1
            code = b"" if self.stack_pointer is None else take(self.stack_pointer, _COLD_CALL)
            code += self._top() + i32_const(SLOT) + I32_ADD + local_set(frame)
            for i, number_type in enumerate(kind.parameters):
                code += local_get(frame) + local_get(i) + store(number_type, SLOT * i, self.memories.tier)
            code += i32_const(self.places.state) + local_get(count) + local_get(frame) + call(run)
            code += local_get(frame) + i32_const(-SLOT) + I32_ADD + global_set(self.stack_global)
            if self.stack_pointer is not None:
                code += take(self.stack_pointer, -_COLD_CALL)
            code += b"".join(local_get(frame) + load(result, 0, self.memories.tier) for result in kind.results)
            ways.append(self._add(kind.parameters + bytes([I32]), kind.results, function_body(code, own=bytes([I32]))))
        return ways

    def _ways_out(self) -> list[int]:
        """Adds what the interpreter calls compiled code with: through the module's table, then through its own."""
        ways = []
        for own in (True, False):
            for number in range(len(self.declarations.kinds)):
                kind = self._callable(number)
                if kind is None or (own and not self.calls_through_table):
                    ways.append(self._add(bytes([I32, I32]), b"", function_body(UNREACHABLE)))
                    continue
                index, frame = 0, 1
                code = local_get(frame) * len(kind.results)
                for i, number_type in enumerate(kind.parameters):
                    code += local_get(frame) + load(number_type, SLOT * i, self.memories.tier)
                # The arguments are read: what is called may have their place.
                code += local_get(frame) + global_set(self.stack_global)
                if own:
                    code += local_get(index) + global_set(self.element_global)
                code += local_get(index)
                code += call_indirect(self._type(kind.parameters, kind.results), 0 if own else self.table)
                code += b"".join(store(result, 0, self.memories.tier) for result in kind.results)
                ways.append(self._add(bytes([I32, I32]), b"", function_body(code)))
        return ways

    def _helpers(self) -> dict[str, int]:
        """Adds what the interpreter imports as `tier`."""
        two, three, tier = bytes([I32] * 2), bytes([I32] * 3), self.memories.tier
        arguments = local_get(0) + local_get(1) + local_get(2)
        return {
            "load": self._add(three, b"", function_body(arguments, memory_init(self.passive, tier))),
            "put": self._add(three, b"", function_body(arguments, memory_copy(0, tier))),
            "overrun": self._add(b"", b"", function_body(self._log(self.places.overrun, OVERRUN), UNREACHABLE)),
            "damaged": self._add(b"", b"", function_body(self._log(self.places.damaged, DAMAGED), UNREACHABLE)),
            "get_global": self._add(two, b"", self._globals(write=False)),
            "set_global": self._add(two, b"", self._globals(write=True)),
        }

    def _log(self, at: int, text: bytes) -> bytes:
        log = FunctionType(bytes([I32] * 3), bytes([I32]))
        functions = (i for i in self.module.imports() if i.kind == FUNC_KIND)
        for function, imported in enumerate(functions):
            if imported.name == "proxy_log" and self.types[Reader(imported.descriptor).u32()] == log:
                return self._lend(at, len(text), _CRITICAL, function)
        return b""

    def _lend(self, at: int, size: int, level: int, log: int) -> bytes:
        """Logs a text of the tier's memory: a proxy reads the module's, which therefore lends its first bytes."""
        tier, room = self.memories.tier, self.places.room
        if not tier:
            return i32_const(level) + i32_const(at) + i32_const(size) + call(log) + DROP
        code = i32_const(room) + i32_const(0) + i32_const(size) + memory_copy(tier, 0)
        code += i32_const(0) + i32_const(at) + i32_const(size) + memory_copy(0, tier)
        code += i32_const(level) + i32_const(0) + i32_const(size) + call(log) + DROP
        return code + i32_const(0) + i32_const(room) + i32_const(size) + memory_copy(0, tier)

    def _globals(self, write: bool) -> bytes:
        slot, index, tier = 0, 1, self.memories.tier
        code = b""
        for i, (kind, mutable) in enumerate(self.declarations.globals):
            if kind in NUMBERS and (mutable or not write):
                there = load(kind, 0, tier) + global_set(i) if write else global_get(i) + store(kind, 0, tier)
                code += local_get(index) + i32_const(i) + I32_EQ + if_then(local_get(slot), there, RETURN)
        return function_body(code, UNREACHABLE)

    def _link(self, interpreter: Module) -> dict[str, int]:
        """Adds the interpreter's functions and returns the indices of those that it exports."""
        helpers = self._helpers()
        imports = [i for i in interpreter.imports() if i.kind == FUNC_KIND]
        calls = [_instruction(int(i.name, 16)) if i.module == "guest" else call(helpers[i.name]) for i in imports]
        bodies = interpreter.bodies()
        first = len(self.functions.index) + len(self.added)
        calls += [call(function) for function in range(first, first + len(bodies))]
        types = interpreter.types()
        for kind, body in zip(list(interpreter.function_types())[len(imports) :], bodies, strict=True):
            self._add(kind.parameters, kind.results, self._relocate(body, calls, types))
        return {e.name: first + e.index - len(imports) for e in interpreter.exports() if e.kind == FUNC_KIND}

    def _relocate(self, body: bytes, calls: list[bytes], types: list[FunctionType]) -> bytes:
        reader = read_body(body).code
        out, start = bytearray(body[: reader.position]), reader.position
        for opcode, operands in read_instructions(reader):
            if opcode == wasm.CALL:
                out += calls[operands[0]]
            elif opcode == wasm.CALL_INDIRECT:
                kind = types[operands[0]]
                out += call_indirect(self._type(kind.parameters, kind.results), self.table)
            elif opcode in wasm.LOADS or opcode in wasm.STORES:
                out += access(opcode, operands[0], operands[1], self.memories.tier)
            elif opcode in (wasm.GLOBAL_GET, wasm.GLOBAL_SET):
                raise ToolchainError("the interpreter must do without a stack in memory, and so without globals")
            elif opcode in _OF_MEMORIES:
                raise ToolchainError(
                    f"the interpreter must not contain opcode {opcode:#x}: of which memory is not known"
                )
            else:
                out += body[start : reader.position]
            start = reader.position
        return bytes(out)


@dataclass(frozen=True)
class Tiered:
    """A tiered module; of one for a training, a VM's memory tells which of its cold functions were called."""

    module: bytes
    kept: list[int]
    functions: int
    places: Places
    offsets: list[int]
    parts: dict[int, list[Part]]

    def called(self, memory: bytes) -> set[int]:
        """Returns the cold functions that were called in a VM with this memory since it forgot: their bodies were fetched."""
        compiled = set(self.kept)
        functions = enumerate(self.offsets[: self.functions])
        return {function for function, at in functions if memory[self.places.bodies + at] and function not in compiled}

    def ever_called(self, memory: bytes) -> set[int]:
        """Returns those that were called, forgotten or not."""
        compiled = set(self.kept)
        first = self.places.blocks + FETCHED
        marks = range(first, first + ENTRY.size * self.functions, ENTRY.size)
        return {function for function, at in enumerate(marks) if memory[at] and function not in compiled}

    def reached(self, memory: bytes) -> Reached:
        """Returns the marks that were reached in a VM with this memory, by function."""
        begin = {function: self.places.bodies + self.offsets[function] for function in self.parts}
        return {
            function: {part.mark for part in parts if memory[begin[function] + part.mark] == MARKED}
            for function, parts in self.parts.items()
        }


def assemble(
    module: bytes,
    keep: Sequence[int],
    interpreter: bytes,
    translation: Translation | None = None,
    training: bool = False,
    reached: Reached | None = None,
    started: Collection[int] = (),
) -> Tiered:
    """Makes all functions of a module cold but those of these indices, in this order, and those that the interpreter does not know.

    `interpreter` is interpreter.c, compiled and linked; a `translation` of the module spares the time of making it.
    For `training` the module exports `FORGET`, and nothing in it is compressed. Of a kept function in `reached` all parts are cold but
    those with these marks. The cold functions `started` are those that every VM calls when it starts.
    Raises `ToolchainError` for a module that imports its memory, and for a translation that is another module's.
    """
    parsed = Module(module)
    parsed.drop_custom_sections()
    if translation is None:
        translation = translate(parsed)
    elif translation.digest != digest(parsed):
        raise ToolchainError("the translation was made from another module than the one to be tiered")
    assembly = _Assembly(
        parsed, (*keep, *translation.unknown), translation, interpreter, training, reached or {}, started
    )
    return Tiered(parsed.encode(), assembly.kept, assembly.count, assembly.places, assembly.offsets, translation.parts)
