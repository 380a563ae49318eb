"""Each instruction that the interpreter knows against wasmtime, over edge cases and random operands.

Parameters and results are integers, and the functions reinterpret: so no bit of a NaN gets lost on the way.
"""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.cold.pair import TRAP, Pair
from toolchain.wasm import format as wasm_format
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import (
    access,
    function_body,
    i32_const,
    i64_const,
    local_get,
    memory_copy,
    memory_fill,
    memory_grow,
    memory_size,
    op,
)
from toolchain.wasm.format import (
    CORE_MODULE,
    FUNC_KIND,
    FUNCTION,
    MEMORY,
    MEMORY_KIND,
    Export,
    FunctionType,
    Module,
    leb,
    limits,
    vector,
)

I32, I64, F32, F64 = "i32", "i64", "f32", "f64"
CODES = {I32: wasm_format.I32, I64: wasm_format.I64, F32: wasm_format.F32, F64: wasm_format.F64}
BITS = {I32: I32, I64: I64, F32: I32, F64: I64}
TO_FLOAT = {F32: op(wasm.F32_REINTERPRET_I32), F64: op(wasm.F64_REINTERPRET_I64)}
TO_BITS = {F32: op(wasm.I32_REINTERPRET_F32), F64: op(wasm.I64_REINTERPRET_F64)}
PAGE = 65536


def signatures() -> Iterator[tuple[int, list[str], str]]:
    """Yields each numeric opcode with the types of its operands and of its result."""
    for kind, test, compare, count, binary in (
        (I32, 0x45, range(0x46, 0x50), range(0x67, 0x6A), range(0x6A, 0x79)),
        (I64, 0x50, range(0x51, 0x5B), range(0x79, 0x7C), range(0x7C, 0x8B)),
    ):
        yield test, [kind], I32
        yield from ((opcode, [kind, kind], I32) for opcode in compare)
        yield from ((opcode, [kind], kind) for opcode in count)
        yield from ((opcode, [kind, kind], kind) for opcode in binary)
    for kind, compare, unary, binary in (
        (F32, range(0x5B, 0x61), range(0x8B, 0x92), range(0x92, 0x99)),
        (F64, range(0x61, 0x67), range(0x99, 0xA0), range(0xA0, 0xA7)),
    ):
        yield from ((opcode, [kind, kind], I32) for opcode in compare)
        yield from ((opcode, [kind], kind) for opcode in unary)
        yield from ((opcode, [kind, kind], kind) for opcode in binary)
    conversions = [(I64, I32), *itertools.product((F32, F32, F64, F64), (I32,))]
    conversions += [(I32, I64), (I32, I64), (F32, I64), (F32, I64), (F64, I64), (F64, I64)]
    conversions += [(I32, F32), (I32, F32), (I64, F32), (I64, F32), (F64, F32)]
    conversions += [(I32, F64), (I32, F64), (I64, F64), (I64, F64), (F32, F64)]
    conversions += [(F32, I32), (F64, I64), (I32, F32), (I64, F64)]
    conversions += [(I32, I32), (I32, I32), (I64, I64), (I64, I64), (I64, I64)]
    yield from ((0xA7 + i, [operand], result) for i, (operand, result) in enumerate(conversions))
    for i, (operand, result) in enumerate(itertools.product((F32, F64), (I32, I64))):
        # i32 from f32 signed, unsigned, from f64 ..., then i64
        at = 0xFC00 + 2 * (i // 2) + 4 * (i % 2)
        yield at, [operand], result
        yield at + 1, [operand], result


SIGNATURES = {opcode: (operands, result) for opcode, operands, result in signatures()}


class Builder:
    """Makes a module of exported functions, each of them given as the types of its operands, its result, and its code."""

    def __init__(self) -> None:
        self.functions: list[tuple[str, list[str], str | None, bytes]] = []

    def add(self, name: str, operands: list[str], result: str | None, code: bytes) -> None:
        self.functions.append((name, operands, result, code))

    def operation(self, name: str, operands: list[str], result: str | None, code: bytes, constant: bytes = b"") -> None:
        """Adds a function that applies instructions to its operands, of which a constant can be the last."""
        given = operands[:-1] if constant else operands
        push = b"".join(local_get(i) + TO_FLOAT.get(kind, b"") for i, kind in enumerate(given))
        self.add(name, given, result, push + constant + code + TO_BITS.get(result or "", b""))

    def module(self) -> bytes:
        types, bodies, exports = [], [], [Export("memory", MEMORY_KIND, 0)]
        for i, (name, operands, result, code) in enumerate(self.functions):
            results = bytes([CODES[BITS[result]]]) if result else b""
            types.append(FunctionType(bytes(CODES[BITS[kind]] for kind in operands), results))
            bodies.append(function_body(code))
            exports.append(Export(name, FUNC_KIND, i))
        module = Module(CORE_MODULE)
        module.put_types(types)
        module.put(FUNCTION, vector(map(leb, range(len(types)))))
        module.put(MEMORY, vector([limits(1)]))
        module.put_exports(exports)
        module.put_bodies(bodies)
        return module.encode()


def _integers(width: int) -> list[int]:
    top = 1 << (width - 1)
    numbers = [0, 1, 2, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000]
    numbers += [top - 1, top - 2, 0x7FFF_FFFF, 0x8000_0000 % top, 0x5555_5555, 0x1234_5678]
    return sorted({sign * number for number in numbers for sign in (1, -1)} | {-top})


def _floats(width: int) -> list[int]:
    form, exponent = ("<f", 8) if width == 32 else ("<d", 11)
    numbers = [0.0, 0.5, 1.0, 1.5, 2.5, 3.7, 1e10, 1e30, 2.0**24 + 2, 127.9, 255.5, 2.0**52 + 1.0]
    numbers += [2.0**power + off for power in (31, 32, 63, 64) for off in (0.0, -1.0, 1.0, -0.5)]
    numbers += [2.0**power * (1 - 2.0 ** (-24 if width == 32 else -53)) for power in (31, 32, 63, 64)]
    bits = {int.from_bytes(struct.pack(form, number), "little") for number in numbers}
    mantissa = width - 1 - exponent
    infinity = ((1 << exponent) - 1) << mantissa
    bits |= {
        1,
        (1 << mantissa) - 1,
        1 << mantissa,
        infinity - 1,
        infinity,
    }  # the least, denormals, the largest, infinity
    bits |= {infinity | 1, infinity | 1 << (mantissa - 1), infinity | (1 << mantissa) - 1, infinity | 0x1234}  # NaNs
    bits |= {number | 1 << (width - 1) for number in bits}
    return [number - (1 << width) if number >> (width - 1) else number for number in sorted(bits)]


EDGES = {I32: _integers(32), I64: _integers(64), F32: _floats(32), F64: _floats(64)}


def operands(kinds: list[str], chance: random.Random) -> Iterator[tuple[int, ...]]:
    """Yields the edge cases in all combinations, and random ones."""
    yield from itertools.product(*(EDGES[kind] for kind in kinds))
    for _ in range(200):
        sizes = [32 if BITS[kind] == I32 else 64 for kind in kinds]
        yield tuple(chance.getrandbits(size) - (1 << (size - 1)) for size in sizes)


def test_every_opcode_has_a_signature() -> None:
    assert set(SIGNATURES) == {*wasm.UNARY, *wasm.BINARY, *wasm.TRUNCATE_SATURATED}


@pytest.fixture(scope="module")
def numeric() -> Pair:
    builder = Builder()
    for opcode, (kinds, result) in SIGNATURES.items():
        builder.operation(f"{opcode:#x}", kinds, result, op(opcode))
    pair = Pair(builder.module())
    assert not pair.tiered.kept
    return pair


@pytest.mark.parametrize("opcode", SIGNATURES, ids=hex)
def test_numbers(numeric: Pair, opcode: int) -> None:
    outcomes = set()
    for values in operands(SIGNATURES[opcode][0], random.Random(opcode)):
        outcomes.add(numeric.call(f"{opcode:#x}", *values))
    assert len(outcomes - {TRAP}) > 1
    assert (TRAP in outcomes) == (
        opcode in {*range(0x6D, 0x71), *range(0x7F, 0x83), *range(0xA8, 0xAC), *range(0xAE, 0xB2)}
    )


# The interpreter has a form of its own for a constant of one byte.
CONSTANTS = [-129, -128, -127, -64, -1, 0, 1, 31, 32, 33, 63, 64, 65, 126, 127, 128]


def test_integers_with_a_constant() -> None:
    builder = Builder()
    cases = {}
    for opcode in sorted(wasm.BINARY):
        kinds, result = SIGNATURES[opcode]
        if kinds[1] in (I32, I64):
            for number in CONSTANTS:
                name = f"{opcode:#x} {number}"
                constant = i32_const(number) if kinds[1] == I32 else i64_const(number)
                builder.operation(name, kinds, result, op(opcode), constant)
                cases[name] = kinds[0]
    pair = Pair(builder.module())
    assert len(cases) == 50 * len(CONSTANTS) and not pair.tiered.kept
    for name, kind in cases.items():
        for value in EDGES[kind]:
            pair.call(name, value)


CONSTANT: dict[str, Callable[[int], bytes]] = {
    I32: i32_const,
    I64: i64_const,
    F32: lambda bits: op(wasm.F32_CONST) + bits.to_bytes(4, "little", signed=True),
    F64: lambda bits: op(wasm.F64_CONST) + bits.to_bytes(8, "little", signed=True),
}


def test_constants() -> None:
    builder = Builder()
    for kind, edges in EDGES.items():
        for value in edges:
            builder.operation(f"{kind} {value}", [], kind, CONSTANT[kind](value))
    pair = Pair(builder.module())
    for kind, edges in EDGES.items():
        for value in edges:
            assert pair.call(f"{kind} {value}") == (value,)


ACCESSES = dict(
    zip(
        [*wasm.LOADS, *wasm.STORES],
        [I32, I64, F32, F64, *([I32] * 4), *([I64] * 6), I32, I64, F32, F64, I32, I32, I64, I64, I64],
        strict=True,
    )
)
OFFSETS = [0, 1, 3, 8, 127, 128, 0xFFF9, PAGE, 0x7FFF_FFFF, 0xFFFF_FFF8, 0xFFFF_FFFF]


@pytest.fixture(scope="module")
def memory() -> Pair:
    builder = Builder()
    for opcode, kind in ACCESSES.items():
        for offset in OFFSETS:
            load = opcode in wasm.LOADS
            code = access(opcode, 0, offset)
            builder.operation(f"{opcode:#x} {offset}", [I32] if load else [I32, kind], kind if load else None, code)
    builder.operation("size", [], I32, memory_size())
    builder.operation("grow", [I32], I32, memory_grow())
    builder.operation("copy", [I32, I32, I32], None, memory_copy())
    builder.operation("fill", [I32, I32, I32], None, memory_fill())
    pair = Pair(builder.module())
    assert not pair.tiered.kept
    return pair


def size(memory: Pair) -> int:
    """The memory's pages."""
    outcome = memory.call("size")
    assert isinstance(outcome, tuple)
    return outcome[0]


def signed(address: int) -> int:
    return (address & 0xFFFF_FFFF) - ((address & 0x8000_0000) << 1)


@pytest.mark.parametrize("opcode", ACCESSES, ids=hex)
def test_memory(memory: Pair, opcode: int) -> None:
    chance, kind = random.Random(opcode), ACCESSES[opcode]
    end = size(memory) * PAGE
    near = [*range(10), 100, 1001, PAGE - 17, PAGE - 9, PAGE - 8]
    wild = [0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF8, 0xFFFF_FFFF]
    outcomes = set()
    for address in range(0, 300, 8):
        memory.call("0x37 0", address, chance.getrandbits(64) - 2**63)
    for offset in OFFSETS:
        last = [end - offset - i for i in range(18) if end >= offset + i]
        for address in [*near, *last, *wild]:
            values = [()] if opcode in wasm.LOADS else [(value,) for value in chance.sample(EDGES[kind], 3)]
            for value in values:
                outcomes.add(memory.call(f"{opcode:#x} {offset}", signed(address), *value))
    assert TRAP in outcomes and len(outcomes) > 1
    assert memory.cold.memory() == memory.plain.memory()


def test_copy_and_fill(memory: Pair) -> None:
    end, chance = size(memory) * PAGE, random.Random(0)
    for address in range(0, 300, 8):
        memory.call("0x37 0", address, chance.getrandbits(64) - 2**63)
    for to, source, count in [(0, 1, 100), (1, 0, 100), (7, 7, 50), (200, 3, 0), (PAGE - 10, 0, 10), (3, 250, 999)]:
        assert memory.call("copy", to, source, count) == ()
        assert memory.call("fill", to, source, count // 2) == ()
        assert memory.cold.memory() == memory.plain.memory()
    for to, source, count in [(end, 0, 0), (end, end, 0), (end - 4, 0, 4), (0, end - 4, 4)]:
        assert memory.call("copy", to, source, count) == ()
        assert memory.call("fill", to, 0x1FF, count) == ()
    for to, source, count in [(end + 1, 0, 0), (end - 3, 0, 4), (0, end - 3, 4), (0, 0, -1), (-1, 0, 2), (0, -1, 2)]:
        assert memory.call("copy", to, source, count) == TRAP
    for to, count in [(end + 1, 0), (end - 3, 4), (0, -1), (-1, 2)]:
        assert memory.call("fill", to, 1, count) == TRAP
    assert memory.cold.memory() == memory.plain.memory()


def test_growing(memory: Pair) -> None:
    before = size(memory)
    assert memory.call("0x28 0", before * PAGE) == TRAP
    assert memory.call("grow", 0) == (before,)
    assert memory.call("grow", 3) == (before,)
    assert memory.call("0x28 0", before * PAGE) == (0,)
    assert memory.call("0x28 0", (before + 3) * PAGE - 3) == TRAP
    for pages in (0x10000, 0x7FFF_FFFF, -1):
        assert memory.call("grow", pages) == (-1,)
    assert memory.call("size") == (before + 3,)
