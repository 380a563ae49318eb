"""Writes, as WebAssembly text, a proxy for one module: its host calls, and a loop over each of its callbacks.

It is two modules, since the measured one needs its host calls before there is a memory that they could write to: `shim` calls each
through a table, and `host`, which comes last, sees the measured module's memory and fills the table.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.wasm.format import FUNC_KIND, FunctionType, Module, Reader

SOURCE = b"127.22.0.10:42148"
CONFIGURATION = b"standalone"
CALLBACKS = {
    "proxy_on_context_create": "(param i32 i32)",
    "proxy_on_new_connection": "(param i32) (result i32)",
    "proxy_on_done": "(param i32) (result i32)",
    "proxy_on_log": "(param i32)",
    "proxy_on_delete": "(param i32)",
}
"""What a connection without a byte of data calls, in order, as far as a module exports it."""

_ALLOCATE = "(param i32) (result i32)"
_WARN = 3
_NAMES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64"}

# Host calls that do something; $out is `out-bytes` of the ABI. Every other one answers OK and does nothing.
_BODIES = {
    "proxy_get_property": "(call $give_source (local.get 2) (local.get 3)) (i32.const 0)",
    "proxy_get_buffer_bytes": "(call $give_configuration (local.get 3) (local.get 4)) (i32.const 0)",
    "proxy_get_log_level": f"(i32.store (local.get 0) (i32.const {_WARN})) (i32.const 0)",
    "proxy_define_metric": "(i32.store (local.get 3) (i32.const 1)) (i32.const 0)",
    "environ_sizes_get": "(i32.store (local.get 0) (i32.const 0)) (i32.store (local.get 1) (i32.const 0)) (i32.const 0)",
    "clock_time_get": "(i64.store (local.get 2) (i64.const 1)) (i32.const 0)",
}


@dataclass(frozen=True)
class ProxyText:
    """The two modules, and the callbacks that the measured one has."""

    shim: str
    host: str
    callbacks: list[str]


def _signature(kind: FunctionType) -> str:
    parameters = " ".join(_NAMES[code] for code in kind.parameters)
    results = " ".join(_NAMES[code] for code in kind.results)
    return f"(param {parameters}) (result {results})" if results else f"(param {parameters})"


def _give(name: str, value: bytes) -> str:
    """A function that hands bytes to the module, as Envoy does: into memory that the module allocates."""
    stores = "".join(
        f"(i32.store8 offset={offset} (local.get $at) (i32.const {byte}))" for offset, byte in enumerate(value)
    )
    return f"""
  (func {name} (param $address i32) (param $size i32) (local $at i32)
    (local.set $at (call $allocate (i32.const {len(value)})))
    {stores}
    (i32.store (local.get $address) (local.get $at))
    (i32.store (local.get $size) (i32.const {len(value)})))"""


def write(code: bytes) -> ProxyText:
    """Returns the proxy for a core module; raises FormatError for anything else."""
    module = Module(code)
    types, exported = module.types(), {export.name for export in module.exports()}
    calls = [
        (item.module, item.name, _signature(types[Reader(item.descriptor).u32()]))
        for item in module.imports()
        if item.kind == FUNC_KIND
    ]
    shim, host = [f'(table (export "table") {len(calls) or 1} funcref)'], []
    for index, (namespace, name, signature) in enumerate(calls):
        count = signature.partition("(result")[0].count("i32") + signature.partition("(result")[0].count("i64")
        arguments = " ".join(f"(local.get {number})" for number in range(count))
        shim.append(f"(type $t{index} (func {signature}))")
        call = f"(call_indirect (type $t{index}) {arguments} (i32.const {index}))"
        shim.append(f'(func (export "{namespace}.{name}") {signature} {call})')
        default = "(i32.const 0)" if "(result" in signature else ""
        host.append(f"(func $c{index} {signature} {_BODIES.get(name, default)})")
    callbacks = [name for name in CALLBACKS if name in exported]
    loops = []
    for name in callbacks:
        second = "(local.get $root)" if name == "proxy_on_context_create" else ""
        drop = "drop" if "(result" in CALLBACKS[name] else ""
        loops.append(f"""
  (func (export "{name}") (param $root i32) (param $id i32) (param $end i32)
    (loop $next
      (call ${name} (local.get $id) {second}) {drop}
      (local.set $id (i32.add (local.get $id) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $id) (local.get $end)))))""")
    imports = [f'(import "module" "{name}" (func ${name} {CALLBACKS[name]}))' for name in callbacks]
    elements = " ".join(f"$c{index}" for index in range(len(calls)))
    return ProxyText(
        "(module {})".format("\n  ".join(shim)),
        "\n  ".join(
            [
                "(module",
                *imports,
                f'(import "module" "proxy_on_memory_allocate" (func $allocate {_ALLOCATE}))',
                '(import "module" "memory" (memory 0))',
                f'(import "shim" "table" (table {len(calls) or 1} funcref))',
                _give("$give_source", SOURCE),
                _give("$give_configuration", CONFIGURATION),
                *host,
                f"(elem (i32.const 0) func {elements})",
                *loops,
                ")",
            ]
        ),
        callbacks,
    )
