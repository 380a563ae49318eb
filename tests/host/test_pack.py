"""A tiered module unpacks itself: its memory is as it was, whatever is damaged is told, and nothing is written elsewhere."""

from __future__ import annotations

import functools
import itertools
import random
import struct
import zlib
from collections.abc import Callable

import deflate
import pytest
import wasmtime

from tests.host.toolchain_case import INTERPRETER, TIERS_MEMORY, with_tiers_memory
from toolchain.tier.assemble import assemble
from toolchain.tier.pack import checksum
from toolchain.wasm.format import DATA, PAGE, Module, Reader

_PAGES, _BEGIN, _SIZE = 5, PAGE, 3 * PAGE
_RANDOM = random.Random(7)
_DAMAGED = "cold tier: the module's data is damaged"


@pytest.mark.parametrize("words", [[], [1], [2**32 - 1] * 70_000, [*range(50_000)]])
def test_the_checksum_is_the_sum_of_all_sums(words: list[int]) -> None:
    assert checksum(struct.pack(f"<{len(words)}I", *words)) == sum(itertools.accumulate(words)) % 2**64


def _text(size: int) -> bytes:
    words = [_RANDOM.randbytes(_RANDOM.randrange(1, 12)) for _ in range(200)]
    return b"".join(_RANDOM.choice(words) for _ in range(size))[:size]


CONTENTS = {
    "zeros": bytes(_SIZE),
    "one byte": b"\1" + bytes(_SIZE - 2) + b"\2",
    "a run": b"a" * _SIZE,
    "period 7": (b"abcdefg" * _SIZE)[:_SIZE],
    "words": _text(_SIZE),
    "numbers": struct.pack(f"<{_SIZE // 4}I", *(n * n % 65_521 for n in range(_SIZE // 4))),
    "noise": _RANDOM.randbytes(_SIZE),
    "skewed": bytes(min(255, int(_RANDOM.expovariate(0.1))) for _ in range(_SIZE)),
    "islands": b"".join(_text(700) + bytes(9000) for _ in range(20)),
}


def _data(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


def _module(data: bytes) -> bytes:
    return bytes(
        wasmtime.wat2wasm(f"""
          (module
            (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
            (memory (export "memory") {_PAGES})
            (global $ran (export "ran") (mut i32) (i32.const 0))
            (func (export "_initialize") (global.set $ran (i32.load8_u (i32.const {_BEGIN}))))
            (data (i32.const {_BEGIN}) "{_data(data)}")
            (data (i32.const 16) "sixteen"))
        """)
    )


@functools.cache
def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = True
    return wasmtime.Engine(config)


@functools.lru_cache(maxsize=1)
def _compiled(module: bytes) -> wasmtime.Module:
    return wasmtime.Module(_engine(), module)


class Vm:
    def __init__(self, module: bytes) -> None:
        self.lines: list[str] = []
        engine = _engine()
        self._store = wasmtime.Store(engine)
        self._store.set_fuel(500_000_000)
        linker = wasmtime.Linker(engine)
        kind = wasmtime.FuncType([wasmtime.ValType.i32()] * 3, [wasmtime.ValType.i32()])
        linker.define_func("env", "proxy_log", kind, self._log)
        self._exports = linker.instantiate(self._store, _compiled(module)).exports(self._store)

    def _log(self, level: int, address: int, size: int) -> int:
        self.lines.append(self.memory()[address : address + size].decode(errors="replace"))
        return 0

    def memory(self, name: str = "memory") -> bytes:
        memory = self._exports[name]
        assert isinstance(memory, wasmtime.Memory)
        return bytes(memory.read(self._store))

    def write(self, address: int, data: bytes, name: str = "memory") -> None:
        memory = self._exports[name]
        assert isinstance(memory, wasmtime.Memory)
        memory.write(self._store, data, address)

    def initialize(self) -> None:
        self.call("_initialize")

    def call(self, name: str, *arguments: int) -> object:
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self._store, *arguments)

    @property
    def ran(self) -> int:
        value = self._exports["ran"]
        assert isinstance(value, wasmtime.Global)
        return int(value.value(self._store))


Compress = Callable[[bytes, int], bytes]


def _zlib(level: int, strategy: int) -> Compress:
    def compress(data: bytes, _: int) -> bytes:
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
        return compressor.compress(data) + compressor.flush()

    return compress


@pytest.mark.parametrize("contents", CONTENTS)
def test_the_memory_is_as_it_was(contents: str) -> None:
    data = CONTENTS[contents]
    module = _module(data)
    for keep in ((), (1,)):
        tiered = assemble(module, keep, INTERPRETER.read_bytes()).module
        assert len(tiered) < len(data) + 40_000
        vm = Vm(tiered)
        before, expected = vm.memory(), Vm(module).memory()
        assert before == bytes(_PAGES * PAGE)
        vm.initialize()
        assert vm.memory() == expected
        assert vm.ran == data[0]
        # Once only: what has been written since stays.
        vm.write(16, b"changed")
        vm.initialize()
        assert vm.memory()[16:23] == b"changed"


_FILTER = f"""
  (module
    (memory (export "memory") {_PAGES})
    (global $before (mut i32) (i32.const 0))
    (global $ran (export "ran") (mut i32) (i32.const 0))
    (func (export "_initialize") (global.set $before (i32.load8_u (i32.const {_BEGIN}))))
    (func $create (export "proxy_on_context_create") (param i32 i32) (local i64)
      (if (local.get 1) (then (call $create (local.get 0) (i32.const 0))) (else (global.set $ran (global.get $before)))))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (data (i32.const {_BEGIN}) "first"))
"""


@pytest.mark.parametrize("keep", [(), (0,), (1, 2), (0, 1, 2)], ids=str)
@pytest.mark.parametrize("first", ["proxy_on_context_create", "proxy_on_memory_allocate"])
def test_a_vm_that_gets_no_callback_unpacks_nothing(keep: tuple[int, ...], first: str) -> None:
    """Of a module for contexts the memory is there with the first callback, whichever it is, and once."""
    vm = Vm(assemble(bytes(wasmtime.wat2wasm(_FILTER)), keep, INTERPRETER.read_bytes()).module)
    vm.initialize()
    assert vm.memory() == bytes(_PAGES * PAGE)
    assert vm.call(first, *(1, 1) if first == "proxy_on_context_create" else (_BEGIN + 1,)) in (None, ord("i"))
    assert vm.memory()[_BEGIN : _BEGIN + 5] == b"first"
    vm.write(_BEGIN, b"later")
    vm.call("proxy_on_context_create", 2, 1)
    assert vm.memory()[_BEGIN : _BEGIN + 5] == b"later"
    assert vm.ran == ord("f")


# Other compressors use what libdeflate does not: codes of every kind, and blocks that are stored.
@pytest.mark.parametrize("contents", CONTENTS)
@pytest.mark.parametrize(
    ("level", "strategy"),
    [(1, zlib.Z_DEFAULT_STRATEGY), (9, zlib.Z_FIXED), (6, zlib.Z_RLE), (6, zlib.Z_HUFFMAN_ONLY), (0, 0)],
)
def test_any_compressor_will_do(contents: str, level: int, strategy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = _module(CONTENTS[contents])
    monkeypatch.setattr(deflate, "deflate_compress", _zlib(level, strategy))
    vm = Vm(assemble(module, (), INTERPRETER.read_bytes()).module)
    vm.initialize()
    assert vm.memory() == Vm(module).memory()


def _from_before(data: bytes, _: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, data)
    return compressor.compress(data) + compressor.flush()


_COMPRESS = deflate.deflate_compress
WRONG: dict[str, Compress] = {
    "too little": lambda data, level: bytes(_COMPRESS(data[:-1], level)),
    "too much": lambda data, level: bytes(_COMPRESS(data + b"a", level)),
    "a match in what was before": _from_before,
    "a code that is no code": lambda data, level: b"\x04" + bytes(10),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_data_of_another_size_or_form_is_told(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deflate, "deflate_compress", WRONG[wrong])
    vm = Vm(assemble(_module(CONTENTS["words"]), (1,), INTERPRETER.read_bytes()).module)
    with pytest.raises(wasmtime.Trap):
        vm.initialize()
    assert vm.lines == [_DAMAGED]


def _said_at_the_start(vm: Vm) -> list[str]:
    """Returns what a VM says when it starts; it must then end, and its memory must be as before."""
    with pytest.raises(wasmtime.Trap):
        vm.initialize()
    assert vm.memory() == bytes(_PAGES * PAGE)
    return vm.lines


def test_each_byte_of_the_data_that_changes_is_told_at_the_start() -> None:
    """The bytes of both segments: of state, texts and the table of blocks, and of all that is packed."""
    chance, tiered = random.Random(3), assemble(_module(b"few words, few words"), (), INTERPRETER.read_bytes())
    module, places = with_tiers_memory(tiered.module), tiered.places
    reader = Reader(Module(module).get(DATA))
    assert (reader.u32(), reader.u32(), reader.u32()) == (2, 2, 1)
    reader.expression()
    active = reader.take(reader.u32())
    assert reader.u32() == 1
    size = reader.u32()
    assert module.endswith(reader.take(size))
    # The first segment is in memory as it is in the file: nothing need be compiled anew.
    for at in range(len(active)):
        vm, address = Vm(module), places.state + at
        vm.write(address, bytes([active[at] ^ 1 << chance.randrange(8)]), TIERS_MEMORY)
        lines = _said_at_the_start(vm)
        # A letter of the very text that says so may be another.
        assert lines == [_DAMAGED] or (len(lines) == 1 and address in range(places.damaged, places.blocks)), at
    for at in range(len(module) - size, len(module)):
        damaged = bytearray(module)
        damaged[at] ^= 1 << chance.randrange(8)
        assert _said_at_the_start(Vm(bytes(damaged))) == [_DAMAGED], at


@pytest.mark.parametrize("contents", ["words", "noise"])
def test_any_bit_that_flips_is_told_at_the_start(contents: str) -> None:
    chance, tiered = random.Random(contents), assemble(_module(CONTENTS[contents]), (), INTERPRETER.read_bytes())
    reader = Reader(Module(tiered.module).get(DATA))
    assert (reader.u32(), reader.u32(), reader.u32()) == (2, 2, 1)  # of two segments the first is in the tier's memory
    reader.expression()
    reader.take(reader.u32())
    assert reader.u32() == 1
    size = reader.u32()
    assert reader.position + size == reader.end and tiered.module.endswith(reader.take(size))
    for at in (0, size - 4, *(chance.randrange(size - 4) for _ in range(6))):
        module = bytearray(tiered.module)
        module[at - size] ^= 1 << chance.randrange(8)
        vm = Vm(bytes(module))
        with pytest.raises(wasmtime.Trap):
            vm.initialize()
        assert vm.lines == [_DAMAGED]
        assert vm.memory() == bytes(_PAGES * PAGE)


def _damaged(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    kind = chance.randrange(4)
    if kind == 0:
        return bytes(damaged[: chance.randrange(len(damaged))])
    if kind == 1:
        return chance.randbytes(chance.randrange(1, len(damaged)))
    for _ in range(1 if kind == 2 else 20):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def test_damaged_data_is_told_and_nothing_is_written_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    told = 0
    for seed in range(150):
        chance = random.Random(seed)
        data = chance.choice([*CONTENTS.values()])[: 3 << 12]

        def damaging(data: bytes, level: int, chance: random.Random = chance) -> bytes:
            return _damaged(bytes(_COMPRESS(data, level)), chance)

        monkeypatch.setattr(deflate, "deflate_compress", damaging)
        tiered = assemble(_module(data), (1,), INTERPRETER.read_bytes())
        vm, places = Vm(with_tiers_memory(tiered.module)), tiered.places
        before = vm.memory(TIERS_MEMORY)
        try:
            vm.initialize()
        except wasmtime.Trap as trap:
            assert trap.trap_code != wasmtime.TrapCode.OUT_OF_FUEL
            assert vm.lines in ([], [_DAMAGED])
            told += bool(vm.lines)
        # The tables, that of blocks included, may have changed, the room to unpack, and behind it what is on its way to the image.
        largest = 1 << 16
        after = bytearray(vm.memory(TIERS_MEMORY))
        for begin, end in ((places.elements, places.bodies), (places.room, places.stack + largest)):
            after[begin:end] = before[begin:end]
        assert after == before
    assert told > 30
