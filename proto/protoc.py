"""Runs protoc with the plugin of this directory.

Usage: python3 -m proto.protoc [--root ROOT] DIRECTORY FILE.proto...

Each `ROOT/path/name.proto` becomes `DIRECTORY/path/name_pb.py`. ROOT is the working directory if nothing else is said.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Generates the files and returns protoc's exit status; what went wrong is on stderr."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=".")
    parser.add_argument("directory")
    parser.add_argument("files", nargs="+")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        # protoc starts a plugin by the path of its executable.
        plugin = Path(scratch, "protoc-gen-wasm")
        command = [sys.executable, "-S", "-B", "-m", "proto.protoc_gen_wasm"]
        plugin.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
        plugin.chmod(0o700)
        protoc = [sys.executable, "-S", "-B", "-m", "grpc_tools.protoc"]
        options = [f"--plugin={plugin}", f"--wasm_out={given.directory}", f"--proto_path={given.root}"]
        # Both see what this program sees.
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        return subprocess.run([*protoc, *options, *given.files], env={**os.environ, "PYTHONPATH": path}).returncode


if __name__ == "__main__":
    sys.exit(main())
