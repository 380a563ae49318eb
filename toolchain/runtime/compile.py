"""Compiles the runtime for this machine, once, so that a snapshot need not: `compile_runtime.py RUNTIME OUT`."""

from __future__ import annotations

import sys
from pathlib import Path

import wasmtime

from toolchain.tools import read, run_main
from toolchain.vm.builder import make_engine


def main() -> None:
    """Writes the compiled runtime."""
    runtime, out = map(Path, sys.argv[1:])
    out.write_bytes(wasmtime.Module(make_engine(), read(runtime)).serialize())


if __name__ == "__main__":
    run_main(main)
