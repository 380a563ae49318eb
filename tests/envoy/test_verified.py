"""What `verify` takes, Envoy loads: modules with newer WebAssembly, and a small one that is changed at random."""

from __future__ import annotations

import base64
import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wasmtime

from envoy import process
from toolchain.abi import read_abi
from toolchain.tools import ToolchainError
from toolchain.verify import verify

ABI = read_abi(Path("proxy_wasm/abi.toml"))
MUTANTS, TRIES, FUEL = 40, 3000, 100_000
NEEDED = """
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "_initialize"))
  (func (export "proxy_on_memory_allocate") (param i32) (result i32) (local.get 0))
"""
WHOLE = f"""
  (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
  {NEEDED}
  (memory 1 3) (table 3 4 funcref) (elem (i32.const 1) $log $tick) (global $global (mut i64) (i64.const 7))
  (data (i32.const 8) "at the start") (data "later")
  (func $tick (export "proxy_on_tick") (param i32) (local i64 f64)
    (block (br_if 0 (local.get 0)) (global.set $global (i64.add (global.get $global) (i64.const 1))))
    (drop (call_indirect (param i32 i32 i32) (result i32) (i32.const 2) (i32.const 8) (i32.const 5) (i32.const 1)))
    (memory.init 1 (i32.const 100) (i32.const 0) (i32.const 5)) (i32.store16 offset=4 (local.get 0) (i32.const 3)))
"""
NEWER = {
    "the least": "",
    "vectors": "(func (result v128) (i32x4.splat (i32.const 1)))",
    "relaxed vectors": "(func (param v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
    "tail calls": "(func $f (return_call $f))",
    "references": "(table 2 externref) (func (result externref) (table.get 0 (i32.const 0)))",
    "typed references": "(type $f (func)) (func (param (ref $f)) (call_ref $f (local.get 0)))",
    "structures": "(type $s (struct (field i32))) (func (result i32) (struct.get $s 0 (struct.new_default $s)))",
    "exceptions": "(tag $t) (func (block $b (try_table (catch $t $b) (throw $t))))",
    "many results": "(func (result i32 i64) (i32.const 1) (i64.const 2)) (func (block (param) (result)))",
    "sums in constants": "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
    "a second memory": "(memory $m 1) (func (memory.copy $m 0 (i32.const 0) (i32.const 0) (i32.const 1)))",
    "wide arithmetic": "(func (result i64 i64) (i64.mul_wide_u (i64.const 1) (i64.const 2)))",
    "a table of 64 bits": "(table i64 1 funcref)",
    "a memory of small pages": "(memory 1 1 (pagesize 1))",
}


def verified(module: bytes) -> bool:
    with contextlib.suppress(ToolchainError):
        verify(module, ABI)
        return True
    return False


def starts(module: bytes) -> bool:
    """Tells whether what a proxy calls first ends without a trap: what code does when it runs is not for `verify` to know."""
    config = wasmtime.Config()
    config.consume_fuel = True
    engine = wasmtime.Engine(config)
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    store.set_fuel(FUEL)
    compiled = wasmtime.Module(engine, module)
    linker.define_unknown_imports_as_default_values(store, compiled)
    try:
        exports = linker.instantiate(store, compiled).exports(store)
        exports["_initialize"](store)  # type: ignore[operator]
    except (wasmtime.Trap, wasmtime.WasmtimeError):
        return False
    return True


def mutants() -> Iterator[bytes]:
    """Yields modules that `verify` takes, each another small change of one module."""
    chance, original = random.Random(11), bytes(wasmtime.wat2wasm(f"(module {WHOLE})"))
    found = {original}
    for _ in range(TRIES):
        changed = bytearray(original)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(8, len(changed))
            match chance.randrange(4):
                case 0:
                    changed[at] ^= 1 << chance.randrange(8)
                case 1:
                    changed[at] = chance.choice((0, 1, 0x40, 0x7F, 0x80, 0xFF, 0x6F, 0x70, 0x7B))
                case 2:
                    del changed[at]
                case 3:
                    changed.insert(at, chance.randrange(256))
        module = bytes(changed)
        if module not in found and verified(module) and starts(module):
            found.add(module)
            yield module
            if len(found) > MUTANTS:
                return


def loads(modules: list[bytes], work: Path) -> str:
    """Returns what Envoy says against a configuration with these modules; "" if nothing."""
    network = "type.googleapis.com/envoy.extensions.filters.network"
    filters: list[dict[str, Any]] = []
    for number, module in enumerate(modules):
        code = {"local": {"inline_bytes": base64.b64encode(module).decode()}}
        vm = {"vm_id": f"vm{number}", "runtime": "envoy.wasm.runtime.v8", "code": code}
        config = {"name": f"plugin{number}", "vm_config": vm}
        filters.append({"name": "wasm", "typed_config": {"@type": f"{network}.wasm.v3.Wasm", "config": config}})
    tcp_proxy = {"@type": f"{network}.tcp_proxy.v3.TcpProxy", "stat_prefix": "x", "cluster": "x"}
    filters.append({"name": "tcp", "typed_config": tcp_proxy})
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    listener = {"name": "x", "address": address, "filter_chains": [{"filters": filters}]}
    status, said = process.validate({"static_resources": {"listeners": [listener], "clusters": [{"name": "x"}]}}, work)
    return "\n".join(line for line in said.splitlines() if "[error]" in line or "[critical]" in line) if status else ""


def test_newer_modules_are_refused_or_loaded(tmp_path: Path) -> None:
    texts = {name: bytes(wasmtime.wat2wasm(f"(module {NEEDED} {text})")) for name, text in NEWER.items()}
    taken = {name: module for name, module in texts.items() if verified(module)}
    assert "the least" in taken
    assert loads(list(taken.values()), tmp_path) == "", list(taken)
    refused = [name for name in texts if name not in taken]
    assert "tail calls" in refused and "structures" in refused


def test_a_module_that_is_changed_at_random_is_refused_or_loaded(tmp_path: Path, record_property: Any) -> None:
    modules = list(mutants())
    record_property("changed modules that verify takes and Envoy loads", len(modules))
    assert len(modules) == MUTANTS
    assert loads(modules, tmp_path) == ""


def test_what_envoy_does_not_load_would_be_found(tmp_path: Path) -> None:
    broken = bytes(wasmtime.wat2wasm(f"(module {NEEDED})"))[:-1]
    assert "Failed to load Wasm" in loads([broken], tmp_path)
