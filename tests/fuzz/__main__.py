"""Fuzzes one target, guided by coverage: `./bazelw run //tests/fuzz -- TARGET [libFuzzer's options]`.

Options are such as `-max_total_time=600` or `-runs=100000 -seed=1`. What makes a target fail is written into the workspace.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

TARGETS = ("configuration", "header_map", "host_calls")
CORPUS = Path("tests/fuzz/corpus")


def main() -> None:
    """Runs libFuzzer, which ends the process: with 0, or another status after an input that fails."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: fuzz {'|'.join(TARGETS)} [libFuzzer's options]\n\n{__doc__}")
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not there: it has wheels for x86_64, and Python 3.11 to 3.13, only")
    name, options = sys.argv[1], sys.argv[2:]
    with atheris.instrument_imports(include=["filter", "proto", "proxy_wasm"]):
        target = importlib.import_module(f"tests.fuzz.{name}")
    workspace = os.environ.get("PROXY_WASM_WORKSPACE", ".")
    # The first directory is where new inputs go, the second is only read.
    found = tempfile.mkdtemp(prefix="fuzz-")
    arguments = [f"-artifact_prefix={workspace}/{name}-", f"-dict={CORPUS}/{name}.dict", *options]
    arguments += [found, str(CORPUS / name)]
    atheris.Setup([sys.argv[0], *arguments], target.check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
