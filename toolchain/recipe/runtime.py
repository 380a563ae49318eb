"""Builds a runtime: CPython as one core module, and what filters are built from beside it.

The steps, each from files to files of one directory (`RuntimeFiles`):

    boot      componentize-py links CPython and hands out its standard library     component.wasm, stdlib.zip
    cpython   the component becomes one core module, in which CPython has started  runtime.wasm, .names, .builtins; stdlib.zip is completed
    tier      what the cold tier needs of it                                       interpreter.wasm, runtime.cold
    compile   native code for this machine, so that no filter waits for it         runtime.cwasm

`compile` is taken only if it is asked for: what it writes is not the same everywhere.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import wasmtime

from toolchain.abi import read_abi
from toolchain.recipe.files import RuntimeFiles, written
from toolchain.recipe.options import add_options, add_steps, taken
from toolchain.runtime import flatten
from toolchain.tools import Progress, Say, ToolchainError, Tools, silent
from toolchain.vm.builder import make_engine

USUAL = ("boot", "cpython", "tier")
"""The steps that make a runtime."""


@dataclass(frozen=True)
class RuntimeInputs:
    """What a runtime is made of."""

    boot: Annotated[Path, "the directory of the programs that CPython starts with: toolchain/boot"]
    abi: Annotated[Path, "the ABI table: proxy_wasm/abi.toml"]
    zig: Annotated[Path, "the unpacked wheel of ziglang"]
    node: Annotated[Path, "the unpacked wheel of Node"]
    node_modules: Annotated[Path, "npm's node_modules, with binaryen"]


def build_runtime(inputs: RuntimeInputs, out: Path, steps: Sequence[str] = USUAL, say: Say = silent) -> RuntimeFiles:
    """Takes these steps in their order and returns the runtime's files, in the directory `out`; raises `ToolchainError`."""
    files = RuntimeFiles(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolchainError(f"cannot make the directory {out}: {error.strerror}") from None
    for name, step in _STEPS.items():
        if name in steps:
            with tempfile.TemporaryDirectory() as work:
                tools = Tools(
                    inputs.zig.absolute(), inputs.node.absolute(), inputs.node_modules.absolute(), Path(work), say
                )
                step(inputs, files, tools)
    return files


def _boot(inputs: RuntimeInputs, files: RuntimeFiles, tools: Tools) -> None:
    if not (inputs.boot / "boot.wit").is_file():
        raise ToolchainError(f"{inputs.boot} has no boot.wit; --boot is the directory toolchain/boot of the sources")
    tools.say("linking and booting CPython by componentize-py")
    # A process of its own: it cannot take the determinism library off again.
    command: list[str | Path] = [sys.executable, "-P", "-S", "-B", "-m", "toolchain.runtime.componentize"]
    command += ["--zig", inputs.zig, "--sources", inputs.boot, "--component", files.component, "--stdlib", files.stdlib]
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    done = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        raise ToolchainError("componentize-py did not finish; why is above")


def _cpython(inputs: RuntimeInputs, files: RuntimeFiles, tools: Tools) -> None:
    abi = read_abi(inputs.abi)
    built = flatten.build(files.read(files.component), files.stdlib, abi, tools)
    # It belongs to the runtime that was here before.
    files.compiled.unlink(missing_ok=True)
    files.component.unlink()
    tools.say(written(files.module, built.module))
    written(files.names, "".join(f"{index} {name}\n" for index, name in built.names.items()).encode())
    written(files.builtins, built.builtins.encode())


def _tier(inputs: RuntimeInputs, files: RuntimeFiles, tools: Tools) -> None:
    # Here, so that a change of the cold tier does not build CPython anew.
    from toolchain.tier import prepare

    tools.say("translating the runtime for the cold tier")
    written(files.interpreter, prepare.build_interpreter(tools))
    written(files.translation, prepare.translation(files.read(files.module)))


def _compile(inputs: RuntimeInputs, files: RuntimeFiles, tools: Tools) -> None:
    tools.say("compiling the runtime for this machine")
    written(files.compiled, bytes(wasmtime.Module(make_engine(), files.read(files.module)).serialize()))


_STEPS: dict[str, Callable[[RuntimeInputs, RuntimeFiles, Tools], None]] = {
    "boot": _boot,
    "cpython": _cpython,
    "tier": _tier,
    "compile": _compile,
}


def main() -> None:
    """Reads the command line and builds the runtime."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, RuntimeInputs)
    parser.add_argument("--out", type=Path, required=True, help="the directory to write the runtime into")
    add_steps(parser, tuple(_STEPS), USUAL)
    given = parser.parse_args()
    build_runtime(taken(RuntimeInputs, given), given.out, given.step or USUAL, silent if given.quiet else Progress())
