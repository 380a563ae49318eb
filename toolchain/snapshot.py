"""Freezes a filter into the runtime: imports its module in the started interpreter and writes the resulting state as a core module.

The world in which the import happens is the same everywhere, and its code is compiled elsewhere (interpreter.py). Code is the
runtime's own; memory, globals and memory size are as the import left them. Callbacks that the filter does not register are not
exported, and the proxy never calls them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import wasmtime

from toolchain import boundary, verify
from toolchain.interpreter import Answers, Compiler, Interpreter, make_engine
from toolchain.sources import Sources
from toolchain.tools import ToolchainError, read, run_main
from toolchain.wasm import Module


def _compile(engine: wasmtime.Engine, runtime: bytes, compiled: Path | None) -> wasmtime.Module:
    if compiled is not None:
        try:
            return wasmtime.Module.deserialize_file(engine, str(compiled))
        except wasmtime.WasmtimeError:
            print("note: the compiled runtime is another machine's; compiling again", file=sys.stderr)
    return wasmtime.Module(engine, runtime)


def snapshot(runtime: bytes, compiled: Path | None, sources: Sources, module: str, abi: boundary.Abi) -> bytes:
    """Returns the filter's core module, or raises `ToolchainError`, with the Python traceback where the import failed."""
    engine = make_engine()
    code = _compile(engine, runtime, compiled)
    compiler = Compiler(Interpreter(engine, code, {}))
    answers: Answers = {
        b"build.code": lambda name: compiler.answer(sources.find(name)),
        b"build.source": sources.source,
    }
    interpreter = Interpreter(engine, code, answers)
    traceback = interpreter.python("load", module.encode()).decode()
    if traceback:
        raise ToolchainError(f"importing {module} failed:\n{traceback.rstrip()}")
    registered = {name for i, name in enumerate(abi["callback"]) if interpreter.call("build_registered", i)}
    if not registered:
        raise ToolchainError(f"{module} registers no context; end it with proxy_wasm.register(YourRootContext)")
    frozen = Module(runtime)
    interpreter.write_state(frozen)
    unused = set(abi["callback"]) - registered
    frozen.put_exports(
        e for e in frozen.exports() if e.name not in unused and not e.name.startswith(boundary.BUILD_PREFIX)
    )
    frozen.drop_custom_sections()
    return frozen.encode()


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
