"""Verifies that a core module is what a proxy can load: the ABI's imports and exports, and nothing else.

A module that passes reaches the proxy through the host calls of the ABI and three harmless functions of WASI. It runs when the proxy
calls it and not before, and holds no native code.

Command line: `./bazelw run //toolchain:verify -- MODULE.wasm`, or `python -m toolchain verify MODULE.wasm`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import wasmtime

from toolchain.abi import Abi, HostCall, read_abi
from toolchain.tools import ToolchainError, read
from toolchain.wasm.format import (
    CORE_MODULE,
    FUNC_KIND,
    I32,
    I64,
    MEMORY,
    MEMORY_KIND,
    NAMES,
    START,
    FormatError,
    FunctionType,
    Module,
    Reader,
    read_limits,
)

MAX_PAGES = 1 << 14  # 1 GiB, which is what Envoy's V8 gives a memory
MAX_MEMORIES = 2  # the filter's and the cold tier's; V8 reserves address space for each

# What tools leave behind for people. Envoy takes native code from another one, and runs it outside of the sandbox.
CUSTOM_SECTIONS = ("name", "producers", "target_features", "metadata.code.branch_hint")

# What the runtime draws from WASI: Envoy provides these, and they reach neither files nor the network.
WASI = {
    "random_get": FunctionType(bytes([I32, I32]), bytes([I32])),
    "clock_time_get": FunctionType(bytes([I32, I64, I32]), bytes([I32])),
    "proc_exit": FunctionType(bytes([I32]), b""),
}
_TYPES = {"i32": I32, "i64": I64}
_UNUSED_FEATURES = (
    "threads",
    "memory64",
    "gc",
    "function_references",
    "relaxed_simd",
    "tail_call",
    "stack_switching",
    "wide_arithmetic",
    "custom_page_sizes",
)
_FUNCTION_NAMES = 1  # the subsection of the custom section `name` that Envoy reads


def verify(data: bytes, abi: Abi) -> None:
    """Raises `ToolchainError`, saying what is wrong, unless these bytes are a core module that speaks this ABI."""
    if data[:8] != CORE_MODULE:
        raise ToolchainError("not a module that a proxy can load: not a WebAssembly core module")
    _check_valid(data)
    try:
        module = Module(data)
        _check_imports(module, abi)
        _check_exports(module, abi)
        _check_sections(module)
    except FormatError as error:
        raise ToolchainError(f"not a module that a proxy can load: {error}") from None


def _check_valid(data: bytes) -> None:
    config = wasmtime.Config()
    for feature in _UNUSED_FEATURES:
        if hasattr(type(config), f"wasm_{feature}"):
            setattr(config, f"wasm_{feature}", False)
    try:
        wasmtime.Module.validate(wasmtime.Engine(config), data)
    except wasmtime.WasmtimeError as error:
        raise ToolchainError(f"the module does not validate with the features of Envoy's V8: {error}") from None


def _check_sections(module: Module) -> None:
    for section, body in module.sections:
        if section == START:
            raise ToolchainError("the module has a start function, which would run before the proxy calls it")
        if section == 0 and (name := Reader(body).name()) not in CUSTOM_SECTIONS:
            raise ToolchainError(f"the module has a custom section {name!r}, which could hold native code")
        if section == 0 and name == NAMES:
            _check_names(body)
    memory = Reader(module.get(MEMORY))
    memories = memory.repeat()
    if len(memories) > MAX_MEMORIES:
        raise ToolchainError(f"the module has {len(memories)} memories, of which it needs {MAX_MEMORIES}")
    for _ in memories:
        least = read_limits(memory)
        if least > MAX_PAGES:
            raise ToolchainError(f"the module wants {least} pages of memory, and Envoy's V8 gives {MAX_PAGES}")


def _check_names(section: bytes) -> None:
    """Raises FormatError for names of functions that Envoy cannot read: it then loads nothing, though no engine looks at them."""
    reader = Reader(section)
    reader.name()
    while reader.more():
        kind, size = reader.u8(), _number(reader)
        end = reader.position + size
        if kind != _FUNCTION_NAMES:
            reader.take(size)
            continue
        for _ in range(_number(reader)):
            _number(reader)
            reader.take(_number(reader))
        if reader.position != end:
            raise FormatError("the names of its functions end elsewhere than they say")


def _number(reader: Reader) -> int:
    begin, number = reader.position, reader.u32()
    if number >> 30 or reader.position - begin > 5:
        raise FormatError(f"a number of its names is larger than Envoy reads: {number}")
    return number


def _host_call_type(call: HostCall) -> FunctionType:
    return FunctionType(bytes(_TYPES[word] for word in call.wasm), bytes([I32]))


def _check_imports(module: Module, abi: Abi) -> None:
    allowed = {("env", name): _host_call_type(call) for name, call in abi.host_calls.items()}
    allowed |= {("wasi_snapshot_preview1", name): kind for name, kind in WASI.items()}
    types = module.types()
    for imported in module.imports():
        name = f"{imported.module}.{imported.name}"
        expected = allowed.get((imported.module, imported.name))
        if imported.kind != FUNC_KIND or expected is None:
            raise ToolchainError(f"the module imports {name}, which is no host call of Proxy-Wasm {abi.version}")
        if types[Reader(imported.descriptor).u32()] != expected:
            raise ToolchainError(
                f"the module imports {name} with another signature than Proxy-Wasm {abi.version} gives it"
            )


def _check_exports(module: Module, abi: Abi) -> None:
    fixed = {abi.version_export: 0, "_initialize": 0, "proxy_on_memory_allocate": 1}
    types = list(module.function_types())
    seen = set()
    for export in module.exports():
        seen.add(export.name)
        if export.name == "memory" and export.kind == MEMORY_KIND:
            continue
        callback = abi.callbacks.get(export.name)
        if export.kind != FUNC_KIND or (callback is None and export.name not in fixed):
            raise ToolchainError(f"the module exports {export.name}, which is no callback of Proxy-Wasm {abi.version}")
        parameters = fixed[export.name] if callback is None else len(callback.parameters)
        result = export.name == "proxy_on_memory_allocate" if callback is None else callback.result is not None
        if types[export.index] != FunctionType(bytes([I32] * parameters), bytes([I32] * result)):
            raise ToolchainError(
                f"the module exports {export.name} with another signature than Proxy-Wasm {abi.version} gives it"
            )
    for name in ("memory", *fixed):
        if name not in seen:
            raise ToolchainError(f"the module does not export {name}, which Proxy-Wasm {abi.version} asks for")


def main() -> None:
    """Verifies the module that the command line names."""
    [given] = sys.argv[1:] or sys.exit("usage: python -m toolchain verify MODULE.wasm")
    abi = read_abi(Path("proxy_wasm/abi.toml"))
    # `bazel run` starts it elsewhere than its user is.
    verify(read(Path(os.environ.get("BUILD_WORKING_DIRECTORY", ""), given)), abi)
    print(f"{given}: a core module for Proxy-Wasm {abi.version}, and nothing more")
