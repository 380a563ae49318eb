"""Freezes a filter into the runtime: imports its module in the booted interpreter and writes the resulting state as a core module.

The world in which the import happens is the same everywhere: a fixed clock, randomness from a hash chain, and nothing to read but
the filter's sources and the standard library. Code is the runtime's own; memory, globals and memory size are as the import left
them. Callbacks that the filter does not register are not exported, and the proxy never calls them.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wasmtime

from toolchain import boundary, verify
from toolchain.tools import ToolchainError, read, run_main
from toolchain.wasm import (
    DATA,
    DATA_COUNT,
    I32,
    I64,
    MEMORY,
    PAGE,
    Global,
    Module,
    leb,
    sleb,
    vector,
)

EPOCH_NANOSECONDS = 1_700_000_000 * 10**9
_SEED = b"proxy-wasm snapshot"
_NOT_FOUND, _UNIMPLEMENTED = 1, 12
_WASI_NOSYS = 52
_MAX_SEGMENTS = 60_000  # V8 takes 100,000


class Sources:
    """What can be imported while a filter is built: its own roots first, then the standard library."""

    def __init__(self, roots: list[Path], stdlib: Path) -> None:
        self.roots = roots
        try:
            self.archive = zipfile.ZipFile(stdlib)
        except (OSError, zipfile.BadZipFile) as error:
            raise ToolchainError(f"cannot read the standard library {stdlib}: {error}") from None
        self.members = set(self.archive.namelist())

    def find(self, name: str) -> bytes | None:
        """Returns a module's kind, origin and source as the booted interpreter expects them, or None."""
        path = name.replace(".", "/")
        candidates = (("P", f"{path}/__init__.py"), ("M", f"{path}.py"))
        for root in self.roots:
            for kind, candidate in candidates:
                if (root / candidate).is_file():
                    return f"{kind}{candidate}\0".encode() + read(root / candidate)
        for kind, candidate in candidates:
            if candidate in self.members:
                return f"{kind}python/{candidate}\0".encode() + self.archive.read(candidate)
        if any((root / path).is_dir() for root in self.roots):
            return b"N\0"
        return None


class Interpreter:
    """The runtime under wasmtime, with the builder's host functions."""

    def __init__(self, engine: wasmtime.Engine, module: wasmtime.Module, sources: Sources) -> None:
        self.sources = sources
        self.drawn = 0
        self.store = wasmtime.Store(engine)
        linker = wasmtime.Linker(engine)
        functions: dict[str, Callable[..., int]] = {
            "proxy_log": self._log,
            "proxy_call_foreign_function": self._call_foreign_function,
            "random_get": self._random_get,
            "clock_time_get": self._clock_time_get,
            "proc_exit": self._proc_exit,
        }
        for imported in module.imports:
            default = _UNIMPLEMENTED if imported.module == "env" else _WASI_NOSYS
            function = functions.get(imported.name or "", lambda *_, status=default: status)
            linker.define_func(imported.module, imported.name or "", imported.type, function)  # type: ignore[arg-type]
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory

    def call(self, name: str, *arguments: int) -> Any:
        """Calls an exported function."""
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return function(self.store, *arguments)

    def load(self, module: str) -> None:
        """Imports the filter's module, or raises `ToolchainError` with the Python traceback."""
        self.call("build_initialize")
        name = module.encode()
        address = self.call("proxy_on_memory_allocate", len(name))
        self._write(address, name)
        result = self.call("build_load", address, len(name))
        traceback = self._read(self._word(result), self._word(result + 4)).decode()
        self.call("build_load_post", result)
        if traceback:
            raise ToolchainError(f"importing {module} failed:\n{traceback.rstrip()}")

    def global_value(self, index: int) -> int:
        """Returns the value of the defined global with this index."""
        value = self.exports[f"{boundary.BUILD_GLOBAL}{index}"]
        assert isinstance(value, wasmtime.Global)
        return int(value.value(self.store))

    def _read(self, address: int, size: int) -> bytes:
        return bytes(self.memory.read(self.store, address, address + size))

    def _write(self, address: int, data: bytes) -> None:
        self.memory.write(self.store, data, address)

    def _word(self, address: int) -> int:
        return int.from_bytes(self._read(address, 4), "little")

    def _log(self, level: int, message: int, size: int) -> int:
        print(self._read(message, size).decode(errors="replace"), file=sys.stderr)
        return 0

    def _call_foreign_function(
        self, name: int, name_size: int, argument: int, size: int, out: int, out_size: int
    ) -> int:
        if self._read(name, name_size) != b"build.source":
            return _NOT_FOUND
        found = self.sources.find(self._read(argument, size).decode()) or b""
        address = self.call("proxy_on_memory_allocate", len(found))
        self._write(address, found)
        self._write(out, address.to_bytes(4, "little"))
        self._write(out_size, len(found).to_bytes(4, "little"))
        return 0

    def _random_get(self, address: int, size: int) -> int:
        drawn = b""
        while len(drawn) < size:
            drawn += hashlib.sha256(_SEED + self.drawn.to_bytes(8, "little")).digest()
            self.drawn += 1
        self._write(address, drawn[:size])
        return 0

    def _clock_time_get(self, clock: int, precision: int, address: int) -> int:
        self._write(address, EPOCH_NANOSECONDS.to_bytes(8, "little"))
        return 0

    def _proc_exit(self, status: int) -> int:
        raise ToolchainError(f"the filter ended the interpreter with exit status {status} while it was imported")


def make_engine() -> wasmtime.Engine:
    """Returns the engine of every snapshot: not a number is the same bits on every processor."""
    config = wasmtime.Config()
    config.cranelift_nan_canonicalization = True
    config.cranelift_opt_level = "none"
    return wasmtime.Engine(config)


def _compile(engine: wasmtime.Engine, runtime: bytes, compiled: Path | None) -> wasmtime.Module:
    if compiled is not None:
        try:
            return wasmtime.Module.deserialize_file(engine, str(compiled))
        except wasmtime.WasmtimeError:
            print("note: the compiled runtime is another machine's; compiling again", file=sys.stderr)
    return wasmtime.Module(engine, runtime)


def snapshot(runtime: bytes, compiled: Path | None, sources: Sources, module: str, abi: boundary.Abi) -> bytes:
    """Returns the filter's core module."""
    engine = make_engine()
    interpreter = Interpreter(engine, _compile(engine, runtime, compiled), sources)
    interpreter.load(module)
    registered = {name for i, name in enumerate(abi["callback"]) if interpreter.call("build_registered", i)}
    if not registered:
        raise ToolchainError(f"{module} registers no context; end it with proxy_wasm.register(YourRootContext)")
    frozen = Module(runtime)
    unused = set(abi["callback"]) - registered
    frozen.put_exports(
        e for e in frozen.exports() if e.name not in unused and not e.name.startswith(boundary.BUILD_PREFIX)
    )
    frozen.put_globals(
        Global(g.type, True, _constant(g.type, interpreter.global_value(i))) if g.mutable else g
        for i, g in enumerate(frozen.globals())
    )
    frozen.put(MEMORY, b"\1\0" + leb(interpreter.memory.size(interpreter.store)))
    segments = _segments(bytes(interpreter.memory.read(interpreter.store)))
    frozen.put(DATA, vector(b"\0\x41" + sleb(address) + b"\x0b" + leb(len(data)) + data for address, data in segments))
    frozen.put(DATA_COUNT, leb(len(segments)))
    frozen.drop_custom_sections()
    return frozen.encode()


def _constant(kind: int, value: int) -> bytes:
    if kind not in (I32, I64):
        raise ToolchainError(f"the runtime has a mutable global of type {kind:#x}, which a snapshot cannot hold")
    return (b"\x41" if kind == I32 else b"\x42") + sleb(value) + b"\x0b"


def _segments(memory: bytes) -> list[tuple[int, bytes]]:
    """Returns the stretches of memory that are not zero, joined over gaps so small that a segment would cost more."""
    for gap in (32, 64, 128, 256, 1024, PAGE):
        stretch = re.compile(rb"[^\0](?:\0{0,%d}[^\0]+)*" % (gap - 1), re.DOTALL)
        segments = [(found.start(), found.group()) for found in stretch.finditer(memory)]
        if len(segments) <= _MAX_SEGMENTS:
            break
    return segments


def main() -> None:
    """Reads the command line and writes the filter's module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument(
        "--compiled", type=Path, help="the runtime as `compile_runtime.py` compiled it for this machine"
    )
    parser.add_argument("--stdlib", type=Path, required=True, help="the interpreter's standard library, a zip file")
    parser.add_argument("--abi", type=Path, required=True, help="the ABI table")
    parser.add_argument(
        "--root", type=Path, action="append", required=True, help="where sources are looked up; repeatable"
    )
    parser.add_argument("--module", required=True, help="the filter's module, such as filter.plugin")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    abi = boundary.read_abi(options.abi)
    sources = Sources(options.root, options.stdlib)
    built = snapshot(read(options.runtime), options.compiled, sources, options.module, abi)
    verify.verify(built, abi)
    options.out.write_bytes(built)


if __name__ == "__main__":
    run_main(main)
