"""The wasmtime host, on small modules written in WAT."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from proxy_wasm.testing.host import Host
from proxy_wasm.testing.records import DOWNSTREAM
from proxy_wasm.testing.wasm import GuestExit, ModuleError, WasmModule

HEAD = """
  (memory (export "memory") 1)
  (global $heap (mut i32) (i32.const 4096))
  (data (i32.const 16) "source\\00address")
  (data (i32.const 64) "route")
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32)
    (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))
"""
# Logs the source address, calls a foreign function with it, and pauses where there is none.
ROUTER = f"""(module
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_call_foreign_function" (func $call (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close (param i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes" (func $buffer (param i32 i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_increment_metric" (func $increment (param i32 i64) (result i32)))
  (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
  (import "env" "proxy_get_current_time_nanoseconds" (func $now (param i32) (result i32)))
  {HEAD}
  (func (export "proxy_on_configure") (param i32 i32) (result i32)
    (drop (call $buffer (i32.const 7) (i32.const 0) (local.get 1) (i32.const 0) (i32.const 4)))
    (drop (call $log (i32.const 1) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
    (drop (call $define (i32.const 1) (i32.const 64) (i32.const 5) (i32.const 0)))
    (drop (call $increment (i32.load (i32.const 0)) (i64.const -3)))
    (drop (call $now (i32.const 512)))
    (i32.ne (local.get 1) (i32.const 3)))
  (func (export "proxy_on_new_connection") (param i32) (result i32)
    (if (call $get (i32.const 16) (i32.const 14) (i32.const 0) (i32.const 4)) (then (return (i32.const 1))))
    (drop (call $log (i32.const 2) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
    (call $call (i32.const 64) (i32.const 5) (i32.load (i32.const 0)) (i32.load (i32.const 4))
      (i32.const 8) (i32.const 12)))
  (func (export "proxy_on_tick") (param i32)
    (drop (call $effective (i32.const 2)))
    (drop (call $close (i32.const 2))))
)"""


def module(body: str, imports: str = "") -> bytearray:
    """Returns the code of a module with what every one needs, and a body."""
    return wasmtime.wat2wasm(f"(module {imports} {HEAD} {body})")


@pytest.fixture
def vm() -> WasmModule:
    host = Host()
    host.foreign_functions[b"route"] = lambda argument: b""
    return WasmModule(wasmtime.wat2wasm(ROUTER), host)


def test_a_connection(vm: WasmModule) -> None:
    assert vm.start(b"", b"standalone")
    connection = vm.connection(source="10.0.0.1:5")
    assert connection.new_connection() == 0
    assert connection.downstream_data(b"not exported: continue") == 0
    connection.close()
    assert vm.host.logs == [(1, "standalone"), (2, "10.0.0.1:5")]
    assert vm.host.foreign_calls == [(2, b"route", b"10.0.0.1:5")]
    assert vm.host.metrics[5].value == -3
    assert vm.read(512, 8) == vm.host.now.to_bytes(8, "little")
    assert vm.memory_pages == 1
    assert vm.shutdown()


def test_a_refused_configuration(vm: WasmModule) -> None:
    assert not vm.start(b"", b"bad")


def test_a_status_reaches_the_module(vm: WasmModule) -> None:
    vm.start()
    assert vm.connection().new_connection() == 1
    assert vm.host.logs == [(1, "")]


def test_effective_context(vm: WasmModule) -> None:
    vm.start()
    connection = vm.connection()
    vm.tick()
    assert connection.context.closed == [DOWNSTREAM]
    assert vm.root.closed == []


def test_memory_that_is_not_there() -> None:
    code = module(
        """
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
          (i32.and (i32.eq (call $log (i32.const 2) (i32.const 65530) (i32.const 7)) (i32.const 6))
                   (i32.eq (call $level (i32.const 65533)) (i32.const 6))))
        """,
        """
        (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
        (import "env" "proxy_get_log_level" (func $level (param i32) (result i32)))
        """,
    )
    vm = WasmModule(code)
    assert vm.start()
    assert not vm.host.logs


def test_wasi() -> None:
    code = module(
        """
        (data (i32.const 128) "\\90\\00\\00\\00\\03\\00\\00\\00\\93\\00\\00\\00\\02\\00\\00\\00onetwo")
        (func (export "_initialize")
          (drop (call $write (i32.const 1) (i32.const 128) (i32.const 2) (i32.const 0))))
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
          (drop (call $random (i32.const 256) (i32.const 32)))
          (drop (call $write (i32.const 2) (i32.const 128) (i32.const 1) (i32.const 0)))
          (i32.and (i32.eq (call $open (i32.const 1)) (i32.const 52))
                   (i32.eq (call $write (i32.const 7) (i32.const 128) (i32.const 1) (i32.const 0)) (i32.const 8))))
        (func (export "proxy_on_tick") (param i32) (call $exit (i32.const 3)))
        """,
        """
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_close" (func $open (param i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        """,
    )
    vm = WasmModule(code)
    assert vm.host.logs == [(2, "onetw")]
    assert vm.start()
    assert vm.host.logs[1:] == [(4, "one")]
    assert any(vm.read(256, 32))
    with pytest.raises(GuestExit, match=r"proc_exit\(3\)"):
        vm.tick()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"nonsense", "wasmtime does not take the module"),
        (module("", '(import "env" "proxy_fly" (func))'), r"imports env\.proxy_fly, which no Proxy-Wasm 0\.2\.1 host"),
        (module("", '(import "wasi:cli/exit" "exit" (func))'), r"imports wasi:cli/exit\.exit"),
        (module("", '(import "env" "proxy_done" (func))'), r"imports env\.proxy_done as \[\] -> \[\], but it is"),
        (module("", '(import "env" "proxy_log" (memory 1))'), "which is not a function|multiple memories"),
        (wasmtime.wat2wasm("(module)"), "does not export memory"),
    ],
)
def test_modules_that_do_not_run(code: bytes | bytearray, message: str) -> None:
    with pytest.raises(ModuleError, match=message):
        WasmModule(code)


def test_compiled_code_is_kept(tmp_path: Path) -> None:
    code = wasmtime.wat2wasm(ROUTER)
    path = tmp_path / "router.wasm"
    path.write_bytes(code)
    for _ in range(2):
        assert WasmModule(path, cache=tmp_path / "cache").start()
    assert len(list((tmp_path / "cache").iterdir())) == 1
