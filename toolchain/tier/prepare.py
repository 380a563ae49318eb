"""Prepares the cold tier, once for a runtime: compiles the interpreter, and translates the runtime's functions."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from toolchain.tier.contract import header
from toolchain.tier.translate import translate
from toolchain.tools import Tools, read, run_main
from toolchain.wasm.format import Module


def build_interpreter(tools: Tools) -> bytes:
    """Compiles and links the interpreter and returns its core module."""
    here = Path(__file__).parent
    compiled, linked = tools.work / "interpreter.o", tools.work / "interpreter.wasm"
    (tools.work / "contract.h").write_text(header())
    features = ["-mbulk-memory", "-mnontrapping-fptoint"]
    exact = ["-ffp-contract=off", "-fno-strict-aliasing", "-fno-delete-null-pointer-checks"]
    target = ["-target", "wasm32-freestanding", "-O2", "-nostdlib", "-g0"]
    tools.zig("cc", *target, *features, *exact, "-I", tools.work, "-c", here / "interpreter.c", "-o", compiled)
    linking = ["--no-entry", "--import-memory", "--import-table", "--allow-undefined", "--strip-all"]
    tools.zig("wasm-ld", compiled, "-o", linked, *linking)
    return read(linked)


def main() -> None:
    """Reads the command line and writes interpreter and translation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--zig", type=Path, required=True, help="the unpacked wheel of ziglang")
    parser.add_argument("--interpreter", type=Path, required=True, help="write the interpreter's core module here")
    parser.add_argument("--translation", type=Path, required=True, help="write the runtime's cold code here")
    options = parser.parse_args()
    nowhere = Path(os.devnull)
    with tempfile.TemporaryDirectory() as work:
        options.interpreter.write_bytes(build_interpreter(Tools(options.zig.absolute(), nowhere, nowhere, Path(work))))
    options.translation.write_bytes(translate(Module(read(options.runtime))).encode())


if __name__ == "__main__":
    run_main(main)
