"""Each way in which a module is not one that a proxy can load has a message of its own."""

from __future__ import annotations

import pytest
import wasmtime

from tests.host.toolchain_case import ABI
from toolchain.tools import ToolchainError
from toolchain.verify import verify

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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('(import "env" "open" (func (param i32) (result i32)))' + GOOD, "imports env.open, which is no host call"),
        ('(import "wasi_snapshot_preview1" "path_open" (func))' + GOOD, "imports wasi_snapshot_preview1.path_open"),
        ('(import "env" "proxy_log" (func (param i32)))' + GOOD, "imports env.proxy_log with another signature"),
        ('(import "env" "proxy_log" (global i32))' + GOOD, "imports env.proxy_log, which is no host call"),
        (GOOD + '(func (export "malloc"))', "exports malloc, which is no callback"),
        (GOOD + '(func (export "proxy_on_tick"))', "exports proxy_on_tick with another signature"),
        ('(memory (export "memory") 1)', "does not export proxy_abi_version_0_2_1"),
        (GOOD + "(memory 1)", "does not validate"),
        (
            "(memory 1)"
            + '(data (i32.const 0) "x")' * 100_001
            + GOOD.replace("(memory (export", "(export").replace('"memory") 1)', '"memory" (memory 0))'),
            "100001 data segments",
        ),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ToolchainError) as caught:
        verify(module(text), ABI)
    assert message in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\0asm\x0d\0\1\0", b"\0asm\1\0\0\0\1\5"])
def test_what_is_no_core_module_is_named(data: bytes) -> None:
    with pytest.raises(ToolchainError, match="not a module that a proxy can load"):
        verify(data, ABI)
