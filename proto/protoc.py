"""Runs protoc with the plugin of this directory.

Usage: python3 -m proto.protoc DIRECTORY FILE.proto...

Each `path/name.proto`, relative to the working directory, becomes `DIRECTORY/path/name_pb.py`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Generates the files and returns protoc's exit status; what went wrong is on stderr."""
    directory, *files = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        # protoc starts a plugin by the path of its executable.
        plugin = Path(scratch, "protoc-gen-wasm")
        command = [sys.executable, "-S", "-B", "-m", "proto.protoc_gen_wasm"]
        plugin.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
        plugin.chmod(0o700)
        protoc = [sys.executable, "-S", "-B", "-m", "grpc_tools.protoc"]
        options = [f"--plugin={plugin}", f"--wasm_out={directory}", "--proto_path=."]
        # Both see what this program sees.
        path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
        return subprocess.run([*protoc, *options, *files], env={**os.environ, "PYTHONPATH": path}).returncode


if __name__ == "__main__":
    sys.exit(main())
