"""A tiered module does what the module does: calls in all four directions, and the whole filter with every function cold."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import wasmtime

from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import ABI, INTERPRETER, TIERS_MEMORY, TRANSLATION, build, with_tiers_memory
from toolchain.tier.assemble import FORGET, Tiered, assemble
from toolchain.tier.build import train
from toolchain.tier.contract import ENTRY, NARROW, WIDE
from toolchain.tier.memories import STACK_BYTES
from toolchain.tier.report import Weights, report, weigh
from toolchain.tier.translate import translate
from toolchain.tier.translation import Translation, read_translation
from toolchain.tools import ToolchainError
from toolchain.verify import verify
from toolchain.wasm.format import Module

# Functions by index: 0 the host's, 1 fib, 2 add, 3 through, 4 again.
CALLS = """
(module
  (import "host" "call" (func $host (param i32) (result i32)))
  (type $two (func (param i32 i64) (result i64)))
  (memory (export "memory") 1)
  (table 4 funcref)
  (elem (i32.const 1) $add $fib $again)
  (func $fib (export "fib") (param i32 i64) (result i64)
    (if (result i64) (i32.lt_u (local.get 0) (i32.const 2))
      (then (i64.add (local.get 1) (i64.extend_i32_u (local.get 0))))
      (else (i64.add
        (call $fib (i32.sub (local.get 0) (i32.const 1)) (local.get 1))
        (call_indirect (type $two) (i32.sub (local.get 0) (i32.const 2)) (local.get 1) (i32.const 2))))))
  (func $add (export "add") (param i32 i64) (result i64)
    (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)))
  (func (export "through") (param i32 i32) (result i64)
    (call_indirect (type $two) (local.get 1) (i64.const 5) (local.get 0)))
  (func $again (export "again") (param i32) (result i32)
    (i32.add (call $host (i32.sub (local.get 0) (i32.const 1))) (local.get 0))))
"""


def wat(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def tier(module: bytes, keep: Sequence[int], interpreter: bytes, translation: Translation | None = None) -> bytes:
    return assemble(module, keep, interpreter, translation).module


def instance(module: bytes) -> Callable[..., int]:
    """Instantiates a module and returns what calls its exports."""
    store = wasmtime.Store()
    linker = wasmtime.Linker(store.engine)

    def call(name: str, *arguments: int) -> int:
        function = exports[name]
        assert isinstance(function, wasmtime.Func)
        return int(function(store, *arguments))

    def again(depth: int) -> int:
        return call("again", depth) if depth > 0 else 0

    linker.define_func("host", "call", wasmtime.FuncType([wasmtime.ValType.i32()], [wasmtime.ValType.i32()]), again)
    exports = linker.instantiate(store, wasmtime.Module(store.engine, module)).exports(store)
    return call


# Who exports its table lets others call through it: then each cold function has a place of its own there.
@pytest.mark.parametrize("table", ["(table 4 funcref)", '(table (export "table") 4 funcref)'], ids=["own", "exported"])
@pytest.mark.parametrize("keep", [(), (1,), (2,), (3,), (4,), (1, 2), (3, 4), (1, 2, 3, 4)], ids=str)
def test_calls_in_all_directions(keep: tuple[int, ...], table: str) -> None:
    call = instance(tier(wat(CALLS.replace("(table 4 funcref)", table)), keep, INTERPRETER.read_bytes()))
    assert call("fib", 15, 0) == 610
    assert call("add", -3, 10) == 7
    assert call("through", 1, 2) == 7
    assert call("through", 2, 10) == 55 + 89 * 5
    assert call("again", 20) == 210
    for index in (0, 3, 4, -1):
        with pytest.raises(wasmtime.Trap):
            call("through", index, 1)


def test_a_cold_function_that_is_called_alone_is_no_function_any_more() -> None:
    module = wat("""
      (module
        (global $runs (mut i32) (i32.const 0))
        (memory 1)
        (start $start)
        (func $start (call $once) (call $once))
        (func $once (global.set $runs (i32.add (global.get $runs) (i32.const 1))))
        (func $never (export "never") (call $once))
        (func (export "runs") (result i32) (global.get $runs)))
    """)
    # `once`, though a compiled function calls it.
    assert all(1 not in assemble(module, keep, INTERPRETER.read_bytes()).index for keep in ((), (0,)))
    for keep in ((), (0,), (1,), (0, 1, 2, 3)):
        assert instance(tier(module, keep, INTERPRETER.read_bytes()))("runs") == 2


FAR = f"""
  (func (export "run") (param i32) (result i32)
    (if (local.get 0) (then {"(global.set $g (i32.add (global.get $g) (i32.const 1)))" * 5000}))
    (global.get $g))
"""
FRAME = f"""
  (func (export "run") (param i32) (result i32) (local {"i32 " * 300})
    (local.set 299 (i32.mul (local.get 0) (i32.const 5000)))
    (local.get 299))
"""


def test_only_many_slots_need_the_loop_for_wide_code() -> None:
    modules = [wat(f"(module (memory 1) (global $g (mut i32) (i32.const 0)) {function})") for function in (FAR, FRAME)]
    assert [translate(Module(module)).bodies[0][0] for module in modules] == [NARROW, WIDE]
    tiered = [tier(module, (), INTERPRETER.read_bytes()) for module in modules]
    code = [sum(map(len, Module(module).bodies())) for module in tiered]
    assert code[0] + 10_000 < code[1]
    for call in map(instance, tiered):
        assert (call("run", 0), call("run", 1)) == (0, 5000)


# Blocks of every kind, with parts that a training with even numbers does not reach.
PARTS = """
(module
  (memory 1)
  (func (export "collatz") (param i32 i64) (result i64)
    (local f64 i64)
    (local.set 2 (f64.const 0.5))
    (block $done
      (loop $next
        (br_if $done (i32.eq (local.get 0) (i32.const 1)))
        (if (i32.and (local.get 0) (i32.const 1))
          (then
            (local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 3)) (i32.const 1)))
            (local.set 2 (f64.add (local.get 2) (f64.const 1)))
            (block $large
              (block $huge
                (block $small
                  (br_table $small $large $huge (i32.shr_u (local.get 0) (i32.const 5))))
                (local.set 3 (i64.add (local.get 3) (i64.const 1)))
                (br $next))
              (local.set 3 (i64.add (local.get 3) (i64.const 10000)))
              (br $next))
            (local.set 3 (i64.add (local.get 3) (i64.const 100)))
            (if (i32.eq (local.get 0) (i32.const 46)) (then (unreachable)) (else (nop) (nop) (nop))))
          (else
            (local.set 0 (i32.shr_u (local.get 0) (i32.const 1)))
            (local.set 1 (i64.add (local.get 1) (i64.const 1)))))
        (br $next)))
    (if (f64.gt (local.get 2) (f64.const 1))
      (then (return (i64.add (i64.mul (local.get 3) (i64.const 1000)) (i64.trunc_f64_u (local.get 2))))))
    (i64.add (local.get 1) (i64.trunc_f64_u (local.get 2)))))
"""


def test_a_kept_functions_parts_that_no_training_reached_are_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.tier.translate.LARGE", 0)
    monkeypatch.setattr("toolchain.tier.parts._LEAST", 8)
    monkeypatch.setattr("toolchain.tier.parts._pay", lambda parts, own: True)
    module, interpreter = wat(PARTS.replace("(memory 1)", '(memory (export "memory") 1)')), INTERPRETER.read_bytes()
    translation = translate(Module(module))
    numbers = [*range(1, 15), *range(16, 30), 27_000, 2**20]
    expected = [instance(module)("collatz", number, 7) for number in numbers]
    cold = assemble(module, (), interpreter, translation, training=True)
    for trained in ((), (2,), (4, 5), numbers):
        store = wasmtime.Store()
        exports = wasmtime.Instance(store, wasmtime.Module(store.engine, cold.module), []).exports(store)
        memory, function = exports["memory"], exports["collatz"]
        assert isinstance(memory, wasmtime.Memory) and isinstance(function, wasmtime.Func)
        for number in trained:
            function(store, number, 7)
        reached = cold.reached(bytes(memory.read(store)))
        assert bool(trained) == bool(reached[0])
        parted = assemble(module, (0,), interpreter, translation, reached=reached).module
        assert [instance(parted)("collatz", number, 7) for number in numbers] == expected
        with pytest.raises(wasmtime.Trap):
            instance(parted)("collatz", 15, 7)


FILTER = """
import json, random
import proxy_wasm

class Root(proxy_wasm.RootContext):
    def on_configure(self, configuration):
        proxy_wasm.info(json.dumps({"sum": sum(json.loads(configuration))}))
        return True

    def on_tick(self):
        nested = []
        for _ in range(20_000):
            nested = [nested]
        for deep in (lambda: self.recur(0), lambda: repr(nested), lambda: json.dumps(nested)):
            try:
                deep()
            except RecursionError:
                proxy_wasm.info("deep enough")

    def recur(self, n):
        return [self.recur(n + 1) for _ in (0,)]

proxy_wasm.register(Root)
"""


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(tmp_path_factory.mktemp("filter"), {"plugin.py": FILTER})


def test_a_filter_works_with_every_function_cold(snapshot: bytes) -> None:
    translation = read_translation(TRANSLATION.read_bytes())
    cold = assemble(snapshot, (), INTERPRETER.read_bytes(), translation)
    verify(cold.module, ABI)
    vm = WasmModule(with_tiers_memory(cold.module))
    # Its first callback unpacks what the module before holds from the start.
    before = WasmModule(snapshot)
    assert not any(vm.memory)
    assert vm._allocate(1) == before._allocate(1) and vm.memory == before.memory
    assert vm.start(configuration=b"[1, 2, 39]")
    scattered = _fetched(cold, vm)
    assert vm.host.lines() == ['{"sum": 42}']
    vm.tick()
    assert vm.host.lines()[1:] == ["deep enough"] * 3
    # CPython gives up long before the value stack is full.
    assert 100_000 < _deepest(cold, vm) < STACK_BYTES / 4
    # An engine takes its time for each function that there is, however small.
    assert len(Module(cold.module).bodies()) < len(Module(snapshot).bodies()) / 20
    # Together what a start calls takes less room.
    training = assemble(snapshot, (), INTERPRETER.read_bytes(), translation, training=True)
    vm_in_training = WasmModule(training.module)
    assert vm_in_training.start(configuration=b"[1, 2, 39]")
    started = training.ever_called(vm_in_training.memory)
    assert 100 < len(started) < 2000
    assert not started & set(cold.kept)
    together = assemble(snapshot, (), INTERPRETER.read_bytes(), translation, started=started)
    vm = WasmModule(with_tiers_memory(together.module))
    assert vm.start(configuration=b"[1, 2, 39]")
    assert _fetched(together, vm) < 400_000 < scattered / 3


def _fetched(tiered: Tiered, vm: WasmModule) -> int:
    places, memory = tiered.places, vm._exports[TIERS_MEMORY]
    assert isinstance(memory, wasmtime.Memory)
    blocks = ENTRY.form.iter_unpack(memory.read(vm._store, places.blocks, places.bodies))
    return sum(size for _, size, _, fetched in itertools.islice(blocks, places.at_start, None) if fetched)


def _deepest(tiered: Tiered, vm: WasmModule) -> int:
    memory, begin = vm._exports[TIERS_MEMORY], tiered.places.stack
    assert isinstance(memory, wasmtime.Memory)
    return len(memory.read(vm._store, begin, begin + STACK_BYTES).rstrip(b"\0"))


def test_a_training_forgets_what_happens_once(snapshot: bytes) -> None:
    translation = read_translation(TRANSLATION.read_bytes())
    cold = assemble(snapshot, (), INTERPRETER.read_bytes(), translation, training=True)
    vm = WasmModule(cold.module)
    assert vm.start(configuration=b"[1]")
    once = cold.called(vm.memory)
    vm.run_export(FORGET)
    assert cold.called(vm.memory) == set()
    assert cold.ever_called(vm.memory) == once
    assert vm.configure(b"[2, 3]")
    assert 0 < len(cold.called(vm.memory)) < len(once)
    assert vm.host.lines()[-1] == '{"sum": 5}'


def test_the_translation_is_the_runtimes(snapshot: bytes) -> None:
    stored = read_translation(TRANSLATION.read_bytes())
    made = translate(Module(snapshot))
    assert (stored.digest, stored.bodies) == (made.digest, made.bodies)
    assert not stored.unknown
    # Only the runtime says where its stack pointer is.
    assert stored.stack_pointer is not None
    assert read_translation(stored.encode()) == stored
    with pytest.raises(ToolchainError, match="another module"):
        assemble(wat("(module)"), (), INTERPRETER.read_bytes(), stored)


def test_a_function_with_an_unknown_instruction_stays_compiled_and_the_report_says_why() -> None:
    module = wat("""
      (module
        (memory (export "memory") 1)
        (func (export "known") (result i32) (i32.const 1))
        (func (export "unknown") (result i32) (i32x4.extract_lane 0 (v128.const i32x4 7 0 0 0))))
    """)
    translation = translate(Module(module))
    assert translation.unknown == {1: "opcode 0xfd"}
    call = instance(tier(module, (), INTERPRETER.read_bytes(), translation))
    assert [call(name) for name in ("known", "unknown")] == [1, 7]
    lines = report(Weights(weigh(module, set(), {}, translation, "0 first\n"), 0, 0)).splitlines()
    assert "compiled because the interpreter does not know it: opcode 0xfd: 1 functions, 23 bytes" in lines
    assert "       4 first" in lines


def test_a_training_that_fails_is_told_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad_training.py").write_text("def train(module):\n    raise KeyError('nothing')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    cold = assemble(wat("(module (memory 1))"), (), INTERPRETER.read_bytes())
    with pytest.raises(ToolchainError, match=r"(?s)the training bad_training failed.*bad_training.py.*KeyError"):
        train("bad_training", cold)
