"""The builder's VM, and the start of CPython in it, on a module that answers in CPython's place."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import wasmtime

from toolchain.runtime import library, start
from toolchain.tools import ToolchainError
from toolchain.vm import builder
from toolchain.vm.builder import EPOCH_NANOSECONDS, Answers, BuilderVm, export_globals, make_engine
from toolchain.wasm.code import expression, i64_const
from toolchain.wasm.format import PAGE, Module

# `build_call` answers with its argument, or with nothing where that is empty. The shadow stack is below 1024.
RUNTIME = """
(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $ask (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_status" (func $status (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 2)
  (global $sp (mut i32) (i32.const 1024))
  (global $heap (mut i32) (i32.const 8192))
  (global $fixed i32 (i32.const 5))
  (global $large (mut i64) (i64.const 9999))
  (data (i32.const 2048) "question") (data (i32.const 2064) "it is broken\\00")
  (func $allocate (export "proxy_on_memory_allocate") (param i32) (result i32)
    (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))
  (func (export "build_call") (param i32 i32 i32) (result i32)
    (if (i32.eqz (local.get 2)) (then (return (i32.const 0))))
    (i32.store (i32.const 2100) (local.get 1)) (i32.store (i32.const 2104) (local.get 2)) (i32.const 2100))
  (func (export "build_free") (param i32))
  (func (export "build_heap") (result i32) (i32.const 65530))
  (func (export "build_relocate libc") (i32.store8 (i32.const 3000) (i32.const 82)))
  (func (export "build_construct libc") (i32.store8 (i32.const 3001) (i32.add (i32.load8_u (i32.const 3000)) (i32.const 1))))
  (func (export "build_start") (result i32)
    (i32.store8 (i32.const 3002) (i32.add (i32.load8_u (i32.const 3001)) (i32.const 1)))
    (drop (call $random (i32.const 3008) (i32.const 40)))
    (global.set $large (i64.const 12345678901))
    (i32.store8 (i32.const 500) (i32.const 1))
    (i32.load (i32.const 3004)))
  (func (export "broken") (i32.store (i32.const 3004) (i32.const 2064)))
  (func (export "ask") (result i32)
    (call $ask (i32.const 2048) (i32.const 8) (i32.const 2048) (i32.const 3) (i32.const 3100) (i32.const 3104)))
  (func (export "answered") (result i32) (i32.load8_u (i32.load (i32.const 3100))))
  (func (export "time") (param i32) (result i64)
    (drop (call $clock (local.get 0) (i64.const 1) (i32.const 3200))) (i64.load (i32.const 3200)))
  (func (export "status") (result i32) (call $status (i32.const 0) (i32.const 0) (i32.const 0)))
  (func (export "close") (result i32) (call $close (i32.const 3)))
  (func (export "exit") (call $exit (i32.const 3)))
  (func (export "spin") (loop (br 0)))
  (func (export "say") (result i32) (call $log (i32.const 2) (i32.const 2048) (i32.const 8)))
)
"""


def runtime() -> Module:
    module = Module(bytes(wasmtime.wat2wasm(RUNTIME)))
    export_globals(module)
    return module


def vm(answers: Answers | None = None) -> BuilderVm:
    engine = make_engine()
    return BuilderVm(engine, wasmtime.Module(engine, runtime().encode()), answers or {})


def memory(module: bytes) -> bytes:
    """The memory that a module has at the start."""
    store = wasmtime.Store()
    linker = wasmtime.Linker(store.engine)
    compiled = wasmtime.Module(store.engine, module)
    linker.define_unknown_imports_as_traps(compiled)
    exported = linker.instantiate(store, compiled).exports(store)["memory"]
    assert isinstance(exported, wasmtime.Memory)
    return bytes(exported.read(store))


def test_the_world_is_the_same_everywhere() -> None:
    made = vm()
    assert made.call("time", 0) == EPOCH_NANOSECONDS and made.call("time", 1) == 0
    drawn = []
    for _ in range(2):
        made = vm()
        made.start()
        drawn.append(bytes(made.memory.read(made.store, 3008, 3048)))
    assert drawn[0] == drawn[1] and any(drawn[0])


def test_what_a_proxy_has_is_not_there_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    made = vm()
    assert (made.call("status"), made.call("close")) == (12, 52)  # unimplemented, ENOSYS
    assert made.call("say") == 0 and capsys.readouterr().err == "question\n"
    with pytest.raises(ToolchainError, match="exit status 3"):
        made.call("exit")


def test_a_question_is_answered_or_not_found() -> None:
    asked: list[str] = []

    def answer(argument: str) -> bytes:
        asked.append(argument)
        return b"!"

    made = vm({b"question": answer})
    assert made.call("ask") == 0 and asked == ["que"] and made.call("answered") == ord("!")
    assert vm().call("ask") == 1


def test_a_function_of_python_is_called_or_has_failed() -> None:
    made = vm()
    assert made.python("echo", b"an argument") == b"an argument"
    with pytest.raises(ToolchainError, match="CPython failed in echo"):
        made.python("echo", b"")


def test_a_start_that_fails_says_why() -> None:
    made = vm()
    made.call("broken")
    with pytest.raises(ToolchainError, match="CPython does not start: it is broken"):
        made.start()


def test_the_state_is_written_less_what_nobody_uses() -> None:
    made, module = vm(), runtime()
    # A heap of one free chunk: its size, its links, and what was once written there.
    made.memory.write(made.store, (PAGE - 8).to_bytes(4, "little"), PAGE + 12)
    made.memory.write(made.store, b"\1" * 16, PAGE + 64)
    made.start()
    made.write_state(module)
    after = memory(module.encode())
    assert after[3000:3003] == b"RST" and after[2048:2056] == b"question"
    assert not any(after[:1024])  # the stack
    assert after[PAGE + 12] and not any(after[PAGE + 64 :])  # the free chunk, but for its head
    assert [g.mutable for g in module.globals()] == [True, True, False, True]
    assert module.globals()[3].initial == expression(i64_const(12345678901))
    exported = {e.name for e in module.exports()}
    assert {"build_global_0", "build_global_1", "build_global_3"} <= exported and "build_global_2" not in exported


def test_the_runtime_is_the_second_start_and_can_be_started_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs: list[Mapping[bytes, object]] = []

    class Watched(BuilderVm):
        def start(self) -> None:
            programs.append(self.answers)
            super().start()

    class Library:
        def __init__(self, roots: list[Path], stdlib: Path) -> None:
            pass

        def frozen(self, name: str) -> bytes:
            return b""

        frozen_source = frozen

    monkeypatch.setattr(start, "BuilderVm", Watched)
    monkeypatch.setattr(start, "Sources", Library)
    monkeypatch.setattr(library, "dictionary", lambda sources, compiler: b"words")
    monkeypatch.setattr(library, "add_late", lambda stdlib, compiler: None)
    plain = Module(bytes(wasmtime.wat2wasm(RUNTIME.replace("65530", str(2 * PAGE)))))
    started = Module(start.start(plain.encode(), tmp_path))
    assert len(programs) == 2 and programs[0] is not programs[1]
    names = {e.name for e in started.exports()}
    assert not [
        name for name in names if name.startswith(("build_start", "build_relocate", "build_construct", "build_global"))
    ]
    assert {"build_call", "memory"} <= names
    assert memory(started.encode())[3000:3003] == b"RST"


def test_memory_becomes_as_few_segments_as_engines_take(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(b"a" + bytes(9) + b"b" + bytes(10) + b"c" + bytes(100))
    assert builder._segments(data) == [(0, b"a" + bytes(9) + b"b"), (21, b"c")]
    assert builder._segments(data, (32, 64)) == [(0, bytes(data[:22]))]
    monkeypatch.setattr(builder, "_MAX_SEGMENTS", 1)
    assert builder._segments(data) == [(0, bytes(data[:22]))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_what_does_not_end(number: signal.Signals) -> None:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    made = vm()
    before = signal.signal(number, end)
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt), made.limited("spinning"):
            made.call("spin")
    finally:
        signal.signal(number, before)
    assert time.monotonic() - begin < 10


def test_what_ends_is_not_disturbed_by_a_signal_that_ends_nothing() -> None:
    made = vm()
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        with made.limited("asking"):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert made.python("echo", b"x") == b"x"
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1] and signal.set_wakeup_fd(-1) == -1
    assert made.python("echo", b"y") == b"y"


def test_what_is_limited_in_another_thread_ends_too() -> None:
    def ask() -> None:
        with made.limited("asking"):
            answers.append(made.python("echo", b"x"))

    made = vm()
    answers: list[bytes] = []
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)
    assert answers == [b"x"]
