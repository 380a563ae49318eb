"""A script of the WebAssembly specification's tests, as `wast2json` writes it, and a world in which its modules run."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wasmtime

from toolchain.wasm.format import EXTERNREF, F32, F64, FUNC_KIND, FUNCREF, I32, I64, V128, Module

TRAP, NO_LINK = "trap", "no link"

Outcome = tuple[object, ...] | str
"""The bits of a call's results, `TRAP`, or for a module `NO_LINK`."""

Signatures = Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
"""The types of a module's exported functions, by name."""

SPECTEST = """
(module
  (func (export "print")) (func (export "print_i32") (param i32)) (func (export "print_i64") (param i64))
  (func (export "print_f32") (param f32)) (func (export "print_f64") (param f64))
  (func (export "print_i32_f32") (param i32 f32)) (func (export "print_f64_f64") (param f64 f64))
  (global (export "global_i32") i32 (i32.const 666)) (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6)) (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref) (memory (export "memory") 1 2))
"""
"""The module that the specification's tests import."""

# How a value gets through a function of integers, bit for bit: what Python has is a double, and no vector.
_AS_INTEGERS = {"i32": ["i32"], "i64": ["i64"], "f32": ["i32"], "f64": ["i64"], "v128": ["i64", "i64"]}
_INTO = {
    "f32": "(f32.reinterpret_i32 (local.get {0}))",
    "f64": "(f64.reinterpret_i64 (local.get {0}))",
    "v128": "(i64x2.replace_lane 1 (i64x2.splat (local.get {0})) (local.get {1}))",
}
_OUT_OF = {
    "f32": "(i32.reinterpret_f32 (local.get {0}))",
    "f64": "(i64.reinterpret_f64 (local.get {0}))",
    "v128": "(i64x2.extract_lane 0 (local.get {0})) (i64x2.extract_lane 1 (local.get {0}))",
}
_NAMES = {I32: "i32", I64: "i64", F32: "f32", F64: "f64", V128: "v128", FUNCREF: "funcref", EXTERNREF: "externref"}
_LANES = {"i8": 8, "i16": 16, "i32": 32, "i64": 64, "f32": 32, "f64": 64}
_NANS = {32: 0x7FC0_0000, 64: 0x7FF8_0000_0000_0000}


def read(path: Path) -> list[dict[str, Any]]:
    """Returns a script's commands."""
    return list(json.loads(path.read_text())["commands"])


def signatures(module: Module) -> Signatures:
    """Returns the types of a module's exported functions: wasmtime's own API has no word for vectors."""
    types = list(module.function_types())
    return {
        export.name: (_names(types[export.index].parameters), _names(types[export.index].results))
        for export in module.exports()
        if export.kind == FUNC_KIND
    }


def _names(types: bytes) -> tuple[str, ...]:
    return tuple(_NAMES[kind] for kind in types)


def engine() -> wasmtime.Engine:
    """Returns an engine for everything that the tests have, in which a computed NaN has the same bits whoever computes it."""
    config = wasmtime.Config()
    config.cranelift_nan_canonicalization = True
    for feature in ("exceptions", "function_references", "gc", "memory64", "multi_memory", "relaxed_simd", "tail_call"):
        setattr(config, f"wasm_{feature}", True)
    return wasmtime.Engine(config)


@functools.cache
def _through(parameters: tuple[str, ...], results: tuple[str, ...]) -> bytes:
    """Returns a module that calls a function of these types and has integers and references for its own."""
    own: list[str] = []
    arguments: list[str] = []
    for kind in parameters:
        places = range(len(own), len(own) + len(_AS_INTEGERS.get(kind, [kind])))
        own += _AS_INTEGERS.get(kind, [kind])
        arguments.append(_INTO.get(kind, "(local.get {0})").format(*places))
    given = " ".join(word for kind in results for word in _AS_INTEGERS.get(kind, [kind]))
    keep = "".join(f"(local.set {len(own) + i})" for i in reversed(range(len(results))))
    back = "".join(_OUT_OF.get(kind, "(local.get {0})").format(len(own) + i) for i, kind in enumerate(results))
    text = f"""
      (module (import "m" "f" (func $f (param {" ".join(parameters)}) (result {" ".join(results)})))
        (func (export "f") (param {" ".join(own)}) (result {given}) (local {" ".join(results)})
          (call $f {" ".join(arguments)}) {keep} {back}))"""
    return bytes(wasmtime.wat2wasm(text))


class World:
    """The modules of one script, linked with each other."""

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._store = wasmtime.Store(engine)
        self._linker = wasmtime.Linker(engine)
        self._linker.allow_shadowing = True
        self._instances: dict[str | None, tuple[wasmtime.Instance, Signatures]] = {}
        self._define("spectest", wasmtime.Module(engine, bytes(wasmtime.wat2wasm(SPECTEST))))

    def _define(self, name: str, module: wasmtime.Module) -> None:
        self._linker.define_instance(self._store, name, self._linker.instantiate(self._store, module))

    def load(self, module: bytes, signatures: Signatures, name: str | None) -> Outcome:
        """Makes an instance, by this name and as the last one; tells what came of it."""
        try:
            instance = self._linker.instantiate(self._store, wasmtime.Module(self._engine, module))
        except wasmtime.Trap:
            return TRAP
        except wasmtime.WasmtimeError:
            return NO_LINK
        self._instances[None] = self._instances[name] = instance, signatures
        return ()

    def register(self, name: str, instance: str | None) -> None:
        """Lets others import from an instance, by a name."""
        self._linker.define_instance(self._store, name, self._instances[instance][0])

    def act(self, action: Mapping[str, Any]) -> Outcome:
        """Calls a function or reads a global."""
        instance, signatures = self._instances[action.get("module")]
        exported = instance.exports(self._store)[action["field"]]
        if action["type"] == "get":
            assert isinstance(exported, wasmtime.Global)
            return (_plain(exported.value(self._store)),)
        # Of a linker of its own, since each call has another function.
        linker = wasmtime.Linker(self._engine)
        linker.define(self._store, "m", "f", exported)
        through = _compiled(self._engine, _through(*signatures[action["field"]]))
        function = linker.instantiate(self._store, through).exports(self._store)["f"]
        assert isinstance(function, wasmtime.Func)
        try:
            results = function(self._store, *[word for value in action["args"] for word in _words(value)])
        except wasmtime.Trap:
            return TRAP
        if results is None and not signatures[action["field"]][1]:
            return ()
        return tuple(map(_plain, results if isinstance(results, list) else [results]))


@functools.lru_cache(maxsize=500)
def _compiled(engine: wasmtime.Engine, module: bytes) -> wasmtime.Module:
    return wasmtime.Module(engine, module)


def _plain(value: object) -> object:
    """Returns a result as what can be compared between worlds: bits, a host's reference, or that there is a reference."""
    return value if value is None or isinstance(value, int | float | str) else "a reference"


def _signed(bits: int, width: int) -> int:
    return bits - (1 << width) if bits >> (width - 1) else bits


def _vector(value: Mapping[str, Any]) -> int:
    width, bits = _LANES[value["lane_type"]], 0
    for place, lane in enumerate(value["value"]):
        number = _NANS[width] if lane.startswith("nan") else int(lane) % (1 << width)
        bits |= number << (place * width)
    return bits


def _words(value: Mapping[str, Any]) -> list[Any]:
    """Returns an argument as `_through` takes it."""
    kind = value["type"]
    if kind == "v128":
        bits = _vector(value)
        return [_signed(bits % (1 << 64), 64), _signed(bits >> 64, 64)]
    if kind in _AS_INTEGERS:
        width = int(kind[1:])
        return [_signed(int(value["value"]) % (1 << width), width)]
    return [None if value["value"] == "null" else value["value"]]


def meets(command: Mapping[str, Any], outcome: Outcome) -> bool:
    """Tells whether an outcome is the one that a command asserts. A NaN may be any, and a reference any."""
    if command["type"] in ("assert_trap", "assert_exhaustion"):
        return outcome == TRAP
    if command["type"] != "assert_return":
        return True
    if "either" in command:
        return outcome != TRAP
    open_ones = [value for value in command["expected"] if "nan" in str(value.get("value")) or "value" not in value]
    if open_ones or outcome == TRAP or command["action"]["type"] == "get":
        return outcome != TRAP
    return tuple(word for value in command["expected"] for word in _words(value)) == outcome
