"""Writes, as WebAssembly text, a proxy for one module: its host calls, and a loop over each of its callbacks.

It is two modules, since the measured one needs its host calls before there is a memory that they could write to: `shim` calls each
through a table, and `host`, which comes last, sees the measured module's memory and fills the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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


class _HostCall(NamedTuple):
    """A host call that the measured module imports, at its place in the table."""

    place: int
    namespace: str
    name: str
    signature: str

    def shim(self) -> list[str]:
        """Returns what the measured module imports for it: a call through the table."""
        parameters = self.signature.partition("(result")[0].split()
        count = sum(word.strip("()") in _NAMES.values() for word in parameters)
        arguments = " ".join(f"(local.get {number})" for number in range(count))
        call = f"(call_indirect (type $t{self.place}) {arguments} (i32.const {self.place}))"
        return [
            f"(type $t{self.place} (func {self.signature}))",
            f'(func (export "{self.namespace}.{self.name}") {self.signature} {call})',
        ]

    def host(self) -> str:
        """Returns what the table has for it: what it does, or that it answers OK."""
        default = "(i32.const 0)" if "(result" in self.signature else ""
        return f"(func $c{self.place} {self.signature} {_BODIES.get(self.name, default)})"


def write(code: bytes) -> ProxyText:
    """Returns the proxy for a core module; raises FormatError for anything else."""
    module = Module(code)
    calls = _host_calls(module)
    exported = {export.name for export in module.exports()}
    callbacks = [name for name in CALLBACKS if name in exported]
    return ProxyText(_shim(calls), _host(calls, callbacks), callbacks)


def _host_calls(module: Module) -> list[_HostCall]:
    types, imported = module.types(), [item for item in module.imports() if item.kind == FUNC_KIND]
    return [
        _HostCall(place, item.module, item.name, _signature(types[Reader(item.descriptor).u32()]))
        for place, item in enumerate(imported)
    ]


def _shim(calls: list[_HostCall]) -> str:
    lines = [f'(table (export "table") {len(calls) or 1} funcref)', *(line for call in calls for line in call.shim())]
    return "(module {})".format("\n  ".join(lines))


def _host(calls: list[_HostCall], callbacks: list[str]) -> str:
    lines = [
        "(module",
        *(f'(import "module" "{name}" (func ${name} {CALLBACKS[name]}))' for name in callbacks),
        f'(import "module" "proxy_on_memory_allocate" (func $allocate {_ALLOCATE}))',
        '(import "module" "memory" (memory 0))',
        f'(import "shim" "table" (table {len(calls) or 1} funcref))',
        _give("$give_source", SOURCE),
        _give("$give_configuration", CONFIGURATION),
        *(call.host() for call in calls),
        f"(elem (i32.const 0) func {' '.join(f'$c{call.place}' for call in calls)})",
        *map(_loop, callbacks),
        ")",
    ]
    return "\n  ".join(lines)


def _loop(callback: str) -> str:
    """Returns the function that calls a callback for each of some connections."""
    second = "(local.get $root)" if callback == "proxy_on_context_create" else ""
    drop = "drop" if "(result" in CALLBACKS[callback] else ""
    return f"""
  (func (export "{callback}") (param $root i32) (param $id i32) (param $end i32)
    (loop $next
      (call ${callback} (local.get $id) {second}) {drop}
      (local.set $id (i32.add (local.get $id) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $id) (local.get $end)))))"""
