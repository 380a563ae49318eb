"""Builds the runtime, step by step: what the rules of Bazel and of Nix both run."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from toolchain.abi import read_abi
from toolchain.runtime import flatten
from toolchain.tools import ToolchainError, Tools, read, run_main


def _componentize(options: argparse.Namespace, component: Path) -> None:
    # A process of its own: it cannot take the determinism library off again.
    command = [sys.executable, "-P", "-S", "-B", "-m", "toolchain.runtime.componentize"]
    inputs = ["--zig", options.zig, "--sources", options.boot]
    done = subprocess.run([*command, *inputs, "--component", component, "--stdlib", options.stdlib], check=False)
    if done.returncode:
        raise ToolchainError("componentize-py did not finish; why is above")


def main() -> None:
    """Reads the command line and writes the runtime and the standard library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--boot", type=Path, required=True, help="the directory of the programs that CPython runs")
    parser.add_argument("--abi", type=Path, required=True, help="the ABI table")
    parser.add_argument("--zig", type=Path, required=True, help="the unpacked wheel of ziglang")
    parser.add_argument("--node", type=Path, required=True, help="the unpacked wheel of Node")
    parser.add_argument("--node-modules", type=Path, required=True, help="npm's node_modules, with binaryen")
    parser.add_argument("--runtime", type=Path, required=True, help="write the runtime here")
    parser.add_argument("--stdlib", type=Path, required=True, help="write the standard library here, as a zip file")
    parser.add_argument("--names", type=Path, required=True, help="write the names of the runtime's functions here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work_name:
        work = Path(work_name)
        component = work / "component.wasm"
        _componentize(options, component)
        tools = Tools(options.zig.absolute(), options.node.absolute(), options.node_modules.absolute(), work)
        runtime, names = flatten.build(read(component), options.stdlib, read_abi(options.abi), tools)
        options.runtime.write_bytes(runtime)
        options.names.write_text("".join(f"{index} {name}\n" for index, name in names.items()))


if __name__ == "__main__":
    run_main(main)
