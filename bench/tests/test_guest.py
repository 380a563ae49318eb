"""Guest time: the proxy in WebAssembly fits any module, and both engines run the same loops."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from bench.guest import engines, proxy
from bench.variants import EMPTY, FLOOR, PYTHON, Variant
from toolchain.wasm.format import FormatError

CALLBACKS = {"proxy_on_context_create", "proxy_on_new_connection", "proxy_on_delete"}


@pytest.mark.parametrize("engine", engines.ENGINES)
@pytest.mark.parametrize("variant", [EMPTY, FLOOR], ids=lambda variant: variant.name)
def test_every_callback_is_timed(engine: str, variant: Variant) -> None:
    times = engines.measure(engine, variant, 10)
    assert set(times) == CALLBACKS
    assert all(len(values) == 9 and min(values) > 0 for values in times.values())


def test_the_python_filter_runs_in_the_loops() -> None:
    times = engines.measure("V8, crossings included", PYTHON, 4)
    assert set(times) == CALLBACKS


def test_the_loops_call_with_the_ids_of_open_contexts(tmp_path: Path) -> None:
    # A module that traps unless each context is made, connected and deleted once, in order.
    order = """(module (memory (export "memory") 1)
      (func (export "proxy_abi_version_0_2_1"))
      (func (export "_initialize"))
      (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 65000))
      (func $step (param $id i32) (param $from i32)
        (if (i32.ne (i32.load8_u (local.get $id)) (local.get $from)) (then unreachable))
        (i32.store8 (local.get $id) (i32.add (local.get $from) (i32.const 1))))
      (func (export "proxy_on_context_create") (param i32 i32) (call $step (local.get 0) (i32.const 0)))
      (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
      (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
      (func (export "proxy_on_new_connection") (param i32) (result i32) (call $step (local.get 0) (i32.const 1)) (i32.const 0))
      (func (export "proxy_on_done") (param i32) (result i32) (call $step (local.get 0) (i32.const 2)) (i32.const 1))
      (func (export "proxy_on_log") (param i32) (call $step (local.get 0) (i32.const 3)))
      (func (export "proxy_on_delete") (param i32) (call $step (local.get 0) (i32.const 4))))"""
    module = tmp_path / "order.wasm"
    module.write_bytes(wasmtime.wat2wasm(order))
    for measure in engines.ENGINES.values():
        assert set(measure(module, 3)) == set(proxy.CALLBACKS)


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(FormatError):
        proxy.write(b"no module")


def test_a_module_that_refuses_its_configuration_is_an_error(tmp_path: Path) -> None:
    refusing = tmp_path / "refusing.wat"
    assert EMPTY.module
    configure = '(func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))'
    text = EMPTY.module.read_text()
    assert configure in text
    refusing.write_text(text.replace(configure, configure.replace("i32.const 1", "i32.const 0")))
    for engine in engines.ENGINES:
        with pytest.raises(engines.GuestError, match="refus"):
            engines.measure(engine, Variant("refusing", "", module=refusing), 3)
