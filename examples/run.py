"""Runs an example in a real Envoy, as `./bazelw run //examples/NAME` does: its own envoy.yaml, its own module."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from envoy import process


def main(configuration: str) -> None:
    """Becomes Envoy, which logs what the plugin says, until it is interrupted."""
    # Here, in the runfiles directory, the module has no bazel-bin before its path.
    text = Path(configuration).read_text(encoding="utf-8").replace("bazel-bin/", "")
    levels = ["--log-level", "error", "--component-log-level", "wasm:info,config:info"]
    command = ["--config-yaml", text, "--disable-hot-restart", "--log-format", "%T %l %v", *levels]
    os.execv(process.binary(), ["envoy", *command])


if __name__ == "__main__":
    main(*sys.argv[1:])
