"""Each way in which a module is not one that a proxy can load, or should, has a message of its own."""

from __future__ import annotations

import contextlib

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from tests.host.toolchain_case import ABI
from toolchain.tools import ToolchainError
from toolchain.verify import WASI, verify
from toolchain.wasm.format import leb, text

GOOD = """
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (local.get 0))
"""


def module(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {text})"))


def test_the_least_module_is_good() -> None:
    verify(module(GOOD), ABI)


def test_a_second_memory_is_good() -> None:
    verify(module(GOOD + "(memory 1)"), ABI)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('(import "env" "open" (func (param i32) (result i32)))' + GOOD, "imports env.open, which is no host call"),
        ('(import "wasi_snapshot_preview1" "path_open" (func))' + GOOD, "imports wasi_snapshot_preview1.path_open"),
        ('(import "env" "proxy_log" (func (param i32)))' + GOOD, "imports env.proxy_log with another signature"),
        ('(import "env" "proxy_log" (global i32))' + GOOD, "imports env.proxy_log, which is no host call"),
        (GOOD + '(func (export "malloc"))', "exports malloc, which is no callback"),
        (GOOD + '(func (export "proxy_on_tick"))', "exports proxy_on_tick with another signature"),
        ('(import "env" "memory" (memory 1))', "imports env.memory, which is no host call"),
        ('(import "env" "table" (table 1 funcref))' + GOOD, "imports env.table, which is no host call"),
        ('(import "wasi_snapshot_preview1" "fd_write" (func))' + GOOD, "imports wasi_snapshot_preview1.fd_write"),
        ('(import "wasi_snapshot_preview1" "sock_accept" (func))' + GOOD, "imports wasi_snapshot_preview1.sock_accept"),
        ('(import "" "" (func))' + GOOD, "imports ., which is no host call"),
        (GOOD + '(func (export "_start"))', "exports _start, which is no callback"),
        (GOOD + '(global (export "proxy_on_tick") i32 (i32.const 0))', "exports proxy_on_tick, which is no callback"),
        (GOOD + '(table (export "table") 1 funcref)', "exports table, which is no callback"),
        (GOOD + '(memory (export "memory2") 1)', "exports memory2, which is no callback"),
        (GOOD + "(func $f) (start $f)", "has a start function"),
        (GOOD.replace(") 1)", ") 16385)"), "wants 16385 pages of memory, and Envoy's V8 gives 16384"),
        (GOOD.replace(") 1)", ") 1 1 shared)"), "does not validate"),
        (
            GOOD.replace("(memory (export", "(memory i64 (export").replace(
                'i64 (export "memory") 1', '(export "memory") i64 1'
            ),
            "does not validate",
        ),
        (GOOD + "(memory 1) (memory 1)", "has 3 memories, of which it needs 2"),
        (GOOD + "(memory 16385)", "wants 16385 pages of memory, and Envoy's V8 gives 16384"),
        (
            "(memory 1)"
            + '(data (i32.const 0) "x")' * 100_001
            + GOOD.replace("(memory (export", "(export").replace('"memory") 1)', '"memory" (memory 0))'),
            "data segments count exceeds limit of 100000",
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        verify(module(text), ABI)
    assert message in str(caught.value)


def section(number: int, body: bytes) -> bytes:
    return bytes([number]) + leb(len(body)) + body


@pytest.mark.parametrize("name", ["name", "producers", "target_features"])
def test_what_tools_leave_for_people_may_stay(name: str) -> None:
    verify(module(GOOD) + section(0, text(name) + b"\0\0"), ABI)


@pytest.mark.parametrize("name", ["precompiled_v8_v14.0.1_1_linux_x86_64", "precompiled", "", "name "])
def test_no_other_custom_section_may(name: str) -> None:
    # Envoy looks for code that V8 compiled beforehand in one, and would run it as it is.
    with pytest.raises(ToolchainError, match=f"custom section '{name}', which could hold native code"):
        verify(module(GOOD) + section(0, text(name) + b"\x90\xc3"), ABI)


@pytest.mark.parametrize("name", [*ABI.host_calls, *WASI])
def test_each_host_call_has_one_signature(name: str) -> None:
    namespace = "env" if name in ABI.host_calls else "wasi_snapshot_preview1"
    with pytest.raises(ToolchainError, match=f"imports {namespace}.{name} with another signature"):
        verify(module(f'(import "{namespace}" "{name}" (func (param f32)))' + GOOD), ABI)
    # In the other namespace there is no such call.
    other = {"env": "wasi_snapshot_preview1", "wasi_snapshot_preview1": "env"}[namespace]
    with pytest.raises(ToolchainError, match=f"imports {other}.{name}, which is no host call"):
        verify(module(f'(import "{other}" "{name}" (func))' + GOOD), ABI)


@pytest.mark.parametrize("name", ABI.callbacks)
def test_each_callback_has_one_signature(name: str) -> None:
    with pytest.raises(ToolchainError, match=f"exports {name} with another signature"):
        verify(module(GOOD + f'(func (export "{name}") (param f32))'), ABI)


@pytest.mark.parametrize("missing", ["memory", "proxy_abi_version_0_2_1", "_initialize", "proxy_on_memory_allocate"])
def test_what_a_proxy_needs_is_there(missing: str) -> None:
    with pytest.raises(ToolchainError, match=f"does not export {missing}"):
        verify(module(GOOD.replace(f'(export "{missing}")', "")), ABI)


def named(names: bytes) -> bytes:
    return module(GOOD) + section(0, text("name") + names)


def test_names_that_envoy_reads_are_good() -> None:
    verify(named(b"\0\2\1x" + b"\1\7\2" + b"\0\1f" + b"\1\1g" + b"\2\0"), ABI)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (b"\1\7\1\0\1f", "end elsewhere than they say"),
        (b"\1\4\1\0\2f", "unexpected end"),
        (b"\1\4\2\0\1f", "unexpected end"),
        (b"\1\5\1\0\1fx", "end elsewhere than they say"),
        (b"\1\3\1\0\1f", "end elsewhere than they say"),
        (b"\2\x09", "unexpected end"),
        (b"\1\x08\1\x80\x80\x80\x80\4\1f", "larger than Envoy reads"),
        (b"\1\x08\1\x80\x80\x80\x80\x80\0\0", "larger than Envoy reads"),
    ],
)
def test_names_that_envoy_does_not_read_are_refused(names: bytes, message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        verify(named(names), ABI)


@pytest.mark.parametrize("data", [b"", b"\0asm", b"\0asm\x0d\0\1\0", b"(module)"])
def test_what_is_no_core_module_is_named(data: bytes) -> None:
    with pytest.raises(ToolchainError, match="not a module that a proxy can load: not a WebAssembly core module"):
        verify(data, ABI)


FULL = module(
    '(import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))'
    + GOOD.replace(") 1)", ") 1 2)")
    + '(global (mut i32) (i32.const 1)) (table 1 funcref) (elem (i32.const 0) 0) (data (i32.const 0) "x")'
    + '(func (export "proxy_on_tick") (param i32))'
)


@given(st.lists(st.tuples(st.integers(8, len(FULL) - 1), st.integers(0, 255)), max_size=4), st.integers(0, 20))
def test_a_damaged_module_is_good_or_refused(damage: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(FULL)
    for at, byte in damage:
        data[at] = byte
    with contextlib.suppress(ToolchainError):
        verify(bytes(data[: len(data) - cut]), ABI)


@given(st.binary())
def test_bytes_are_good_or_refused(data: bytes) -> None:
    with contextlib.suppress(ToolchainError):
        verify(b"\0asm\1\0\0\0" + data, ABI)
