"""The binary format of core modules, as far as the toolchain reads and rewrites it: sections, imports, exports, globals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from toolchain.wasm import opcodes as wasm

CORE_MODULE = b"\0asm\1\0\0\0"

# section ids
TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT = range(1, 13)
TAG = 13  # of exceptions
_SECTION_ORDER = [*range(TYPE, GLOBAL), TAG, *range(GLOBAL, CODE), DATA_COUNT, CODE, DATA]

NAMES = "name"  # the custom section that names functions

# kinds of an import or export
FUNC_KIND, TABLE_KIND, MEMORY_KIND, GLOBAL_KIND = range(4)

I32, I64, F32, F64 = 0x7F, 0x7E, 0x7D, 0x7C
V128, FUNCREF, EXTERNREF = 0x7B, 0x70, 0x6F
PAGE = 65536

_FUNCTION_TYPE = 0x60
_VALUE_TYPES = {I32, I64, F32, F64, V128, FUNCREF, EXTERNREF}
_IN_CONSTANTS = {wasm.I32_ADD, wasm.I32_SUB, wasm.I32_MUL, wasm.I64_ADD, wasm.I64_SUB, wasm.I64_MUL}
_INDEX_IN_CONSTANTS = {wasm.I32_CONST, wasm.I64_CONST, wasm.GLOBAL_GET, wasm.REF_NULL, wasm.REF_FUNC}
_NEW_LIMITS = 0xFC  # flags beyond a maximum's and that of sharing


class FormatError(ValueError):
    """Bytes that are not what the format, or this toolchain's part of it, allows."""


class Reader:
    """Reads numbers, names and slices in order."""

    def __init__(self, data: bytes, position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end is None else end

    def more(self) -> bool:
        """Tells whether there is anything left to read."""
        return self.position < self.end

    def u8(self) -> int:
        """Reads a byte."""
        if self.position >= self.end:
            raise FormatError(f"unexpected end at byte {self.position}")
        self.position += 1
        return self.data[self.position - 1]

    def u32(self) -> int:
        """Reads an unsigned LEB128 number."""
        # Most numbers are one byte, and a module has millions.
        position = self.position
        if position < self.end and (byte := self.data[position]) < 0x80:
            self.position = position + 1
            return byte
        return self._leb()[0]

    def signed(self) -> int:
        """Reads a signed LEB128 number."""
        number, bits = self._leb()
        return number - (1 << bits) if number >> (bits - 1) else number

    def _leb(self) -> tuple[int, int]:
        """Reads a LEB128 number without its sign, and how many bits it is written in."""
        data, position, end = self.data, self.position, self.end
        result = shift = 0
        while position < end:
            byte = data[position]
            position += 1
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                self.position = position
                return result, shift
        raise FormatError(f"unexpected end at byte {end}")

    def take(self, size: int) -> bytes:
        """Reads this many bytes."""
        if self.position + size > self.end:
            raise FormatError(f"unexpected end at byte {self.position}")
        self.position += size
        return self.data[self.position - size : self.position]

    def name(self) -> str:
        """Reads a name."""
        return self.take(self.u32()).decode()

    def repeat(self) -> range:
        """Reads a vector's length, to loop over."""
        return range(self.u32())

    def numbers(self) -> list[int]:
        """Reads a vector of unsigned numbers, such as indices."""
        return [self.u32() for _ in self.repeat()]

    def expression(self) -> bytes:
        """Reads one constant expression, with its end."""
        start = self.position
        while True:
            opcode = self.u8()
            if opcode == wasm.END:
                return self.data[start : self.position]
            if opcode in _INDEX_IN_CONSTANTS:
                while self.u8() >= 0x80:
                    pass
            elif opcode in (wasm.F32_CONST, wasm.F64_CONST):
                self.take(4 if opcode == wasm.F32_CONST else 8)
            elif opcode not in _IN_CONSTANTS:
                raise FormatError(f"opcode {opcode:#x} in a constant expression")


def leb(number: int) -> bytes:
    """Encodes an unsigned number as LEB128."""
    if 0 <= number < 0x80:
        return number.to_bytes(1, "little")
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def sleb(number: int) -> bytes:
    """Encodes a signed number as LEB128."""
    out = bytearray()
    while not -0x40 <= number < 0x40:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number & 0x7F)
    return bytes(out)


def vector(items: Iterable[bytes]) -> bytes:
    """Encodes a length and the items."""
    listed = list(items)
    return leb(len(listed)) + b"".join(listed)


def sized(data: bytes) -> bytes:
    """Encodes a length in bytes and the bytes."""
    return leb(len(data)) + data


def text(name: str) -> bytes:
    """Encodes a name."""
    return sized(name.encode())


@dataclass
class Import:
    """An import; its descriptor is what follows the kind."""

    module: str
    name: str
    kind: int
    descriptor: bytes


@dataclass
class Export:
    """An export: an index in the index space of its kind."""

    name: str
    kind: int
    index: int


@dataclass
class Global:
    """A defined global; its initial value is a constant expression."""

    type: int
    mutable: bool
    initial: bytes


@dataclass
class Table:
    """A defined table: the type of its elements, and whether an expression says what they are at first."""

    type: int
    initialised: bool


@dataclass
class FunctionType:
    """A function's type: a byte for each parameter and result."""

    parameters: bytes
    results: bytes


class Module:
    """A core module as a list of sections; custom sections are kept only where they are asked for."""

    def __init__(self, data: bytes) -> None:
        if data[:8] != CORE_MODULE:
            raise FormatError("not a WebAssembly core module")
        reader = Reader(data, 8)
        self.sections: list[tuple[int, bytes]] = []
        self._read: tuple[bytes, list[bytes]] | None = None  # the code's section, and the bodies in it
        while reader.more():
            section = reader.u8()
            self.sections.append((section, reader.take(reader.u32())))

    def get(self, section: int) -> bytes:
        """Returns a section's body; an empty vector where the module has no such section."""
        return next((body for i, body in self.sections if i == section), b"\0")

    def put(self, section: int, body: bytes) -> None:
        """Replaces a section, or inserts it where the format has its place."""
        if any(i == section for i, _ in self.sections):
            self.sections = [(i, body if i == section else old) for i, old in self.sections]
            return
        later = _SECTION_ORDER[_SECTION_ORDER.index(section) + 1 :]
        place = next((n for n, (i, _) in enumerate(self.sections) if i in later), len(self.sections))
        self.sections.insert(place, (section, body))

    def drop_custom_sections(self, keep: str | None = None) -> None:
        """Drops names, producers and the like, but for the one that is to be kept."""
        self.sections = [(i, body) for i, body in self.sections if i or Reader(body).name() == keep]

    def function_names(self) -> dict[int, str]:
        """Returns the names that the custom section `name` gives to functions, by index."""
        for section, body in self.sections:
            reader = Reader(body)
            if section or reader.name() != NAMES:
                continue
            while reader.more():
                subsection, size = reader.u8(), reader.u32()
                if subsection == 1:
                    return {reader.u32(): reader.name() for _ in reader.repeat()}
                reader.take(size)
        return {}

    def encode(self) -> bytes:
        """Returns the module's bytes."""
        return CORE_MODULE + b"".join(bytes([i]) + sized(body) for i, body in self.sections)

    def types(self) -> list[FunctionType]:
        """Returns the function types."""
        reader = Reader(self.get(TYPE))
        types = []
        for _ in reader.repeat():
            if (form := reader.u8()) != _FUNCTION_TYPE:
                raise FormatError(
                    f"a type that is not a function's ({form:#x}): of garbage collection nothing is known here"
                )
            types.append(FunctionType(_value_types(reader), _value_types(reader)))
        return types

    def put_types(self, types: Iterable[FunctionType]) -> None:
        """Replaces the function types."""
        self.put(TYPE, vector(bytes([_FUNCTION_TYPE]) + sized(t.parameters) + sized(t.results) for t in types))

    def imports(self) -> list[Import]:
        """Returns the imports, in index order."""
        reader = Reader(self.get(IMPORT))
        imports = []
        for _ in reader.repeat():
            module, name, kind, start = reader.name(), reader.name(), reader.u8(), reader.position
            if kind == FUNC_KIND:
                reader.u32()
            elif kind in (TABLE_KIND, MEMORY_KIND):
                if kind == TABLE_KIND:
                    _value_type(reader)
                read_limits(reader)
            elif kind == GLOBAL_KIND:
                _value_type(reader)
                reader.u8()
            else:
                raise FormatError(f"import {module}.{name} of kind {kind}")
            imports.append(Import(module, name, kind, reader.data[start : reader.position]))
        return imports

    def put_imports(self, imports: Iterable[Import]) -> None:
        """Replaces the imports."""
        self.put(IMPORT, vector(text(i.module) + text(i.name) + bytes([i.kind]) + i.descriptor for i in imports))

    def exports(self) -> list[Export]:
        """Returns the exports."""
        reader = Reader(self.get(EXPORT))
        return [Export(reader.name(), reader.u8(), reader.u32()) for _ in reader.repeat()]

    def put_exports(self, exports: Iterable[Export]) -> None:
        """Replaces the exports."""
        self.put(EXPORT, vector(text(e.name) + bytes([e.kind]) + leb(e.index) for e in exports))

    def globals(self) -> list[Global]:
        """Returns the defined globals, which the imported ones precede in the index space."""
        reader = Reader(self.get(GLOBAL))
        return [Global(_value_type(reader), bool(reader.u8()), reader.expression()) for _ in reader.repeat()]

    def tables(self) -> list[Table]:
        """Returns the defined tables, which the imported ones precede in the index space."""
        reader = Reader(self.get(TABLE))
        tables = []
        for _ in reader.repeat():
            initialised = reader.data[reader.position] == 0x40
            if initialised:
                reader.take(2)
            tables.append(Table(_value_type(reader), initialised))
            read_limits(reader)
            if initialised:
                reader.expression()
        return tables

    def put_globals(self, values: Iterable[Global]) -> None:
        """Replaces the defined globals."""
        self.put(GLOBAL, vector(bytes([g.type, g.mutable]) + g.initial for g in values))

    def bodies(self) -> list[bytes]:
        """Returns the bodies of the defined functions."""
        code = self.get(CODE)
        if self._read is None or self._read[0] is not code:
            reader = Reader(code)
            self._read = code, [reader.take(reader.u32()) for _ in reader.repeat()]
        return self._read[1].copy()

    def put_bodies(self, bodies: Iterable[bytes]) -> None:
        """Replaces the bodies of the defined functions."""
        self.put(CODE, vector(map(sized, bodies)))

    def elements(self) -> Iterator[tuple[bytes, list[int]]]:
        """Yields what the active segments put into tables: the offset, a constant expression, and the functions."""
        reader = Reader(self.get(ELEMENT))
        for _ in reader.repeat():
            kind = reader.u32()
            if kind not in (0, 2):
                raise FormatError(f"a segment of elements of kind {kind}")
            if kind:
                reader.u32()
            offset = reader.expression()
            if kind:
                reader.u8()
            yield offset, reader.numbers()

    def function_types(self) -> Iterator[FunctionType]:
        """Yields the types of all functions, imported ones first."""
        types = self.types()
        for imported in self.imports():
            if imported.kind == FUNC_KIND:
                yield types[Reader(imported.descriptor).u32()]
        for index in Reader(self.get(FUNCTION)).numbers():
            yield types[index]


def _value_type(reader: Reader) -> int:
    kind = reader.u8()
    if kind not in _VALUE_TYPES:
        raise FormatError(
            f"a value of type {kind:#x}: no number, vector, funcref or externref, and nothing else is known here"
        )
    return kind


def _value_types(reader: Reader) -> bytes:
    return bytes(_value_type(reader) for _ in reader.repeat())


def constant(expression: bytes) -> int:
    """Returns the number that a constant expression `i32.const` is."""
    reader = Reader(expression)
    if reader.u8() != wasm.I32_CONST:
        raise FormatError("a constant expression that is not a number")
    return reader.signed()


def limits(minimum: int, maximum: int | None = None) -> bytes:
    """Encodes the limits of a table or memory (elements or pages)."""
    return b"\0" + leb(minimum) if maximum is None else b"\1" + leb(minimum) + leb(maximum)


def read_limits(reader: Reader) -> int:
    """Reads the limits of a table or memory and returns the minimum (elements or pages)."""
    flags, minimum = reader.u8(), reader.u32()
    if flags & _NEW_LIMITS:
        raise FormatError(
            "a memory or table whose addresses have 64 bits, or whose pages another size: neither is known here"
        )
    if flags & 1:
        reader.u32()
    return minimum
