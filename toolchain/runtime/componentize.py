"""Runs componentize-py so that its output depends on its inputs only: Linux, x86_64 or aarch64.

componentize-py draws on clocks, randomness, file times, inode numbers and the order of directory entries. The determinism library
(`determinism.c`), preloaded into a process with a clean environment, answers all of them with constants.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from toolchain.cpython.component import COMPONENTIZE
from toolchain.cpython.start import STARTED_WITH
from toolchain.tools import ToolchainError, Tools, run_main

_PROGRAM = "dump_stdlib"
_MODULE_PATH = "TOOLCHAIN_MODULE_PATH"


def build_library(tools: Tools) -> Path:
    """Compiles the determinism library for this machine with the pinned Zig and returns its path."""
    library = tools.work / "determinism.so"
    source = Path(__file__).parent / "determinism.c"
    # The oldest glibc that Zig can be told of: the library then loads everywhere.
    target = f"{platform.machine()}-linux-gnu.2.28"
    tools.zig("cc", "-target", target, "-O2", "-shared", "-fPIC", "-s", source, "-o", library)
    return library


def _restart_with(library: Path) -> None:
    """Begins again as a fresh process with the library preloaded and nothing of the caller's environment but PATH and TMPDIR."""
    environment = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    environment |= {"LD_PRELOAD": str(library), "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    environment[_MODULE_PATH] = os.pathsep.join(os.path.abspath(p) for p in sys.path if p)
    start = f"import os, sys; sys.path[:] = os.environ[{_MODULE_PATH!r}].split(os.pathsep); "
    start += "from toolchain.runtime import componentize; componentize.run_main(componentize.main)"
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-B", "-c", start, *sys.argv[1:]], environment)


def componentize(sources: Path, out: Path, work: Path) -> Path:
    """Writes a component of the linked CPython and returns the directory in which its program ran.

    componentize-py's own command line is not used: it mounts the host's site-packages.
    """
    copied = work / "sources"
    # The guest writes __pycache__ beside its sources.
    shutil.copytree(sources, copied, ignore=shutil.ignore_patterns("__pycache__", "BUILD.bazel"))
    # Nix keeps sources that nobody may write.
    copied.chmod(0o755)
    started_with = {name: f"/python/{path}" for name, path in STARTED_WITH.items()} | {"boot": "/0/boot.py"}
    (copied / "started_with.txt").write_text("".join(f"{name} {path}\n" for name, path in started_with.items()))
    # Of a file's status the guest sees the true permissions.
    for path in (copied, *copied.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    wit = str(sources / "boot.wit")
    try:
        componentize_py = importlib.import_module("componentize_py")
    except ImportError as error:
        raise ToolchainError(f"{error}; install third_party/pip/build.lock") from None
    failed = ctypes.CDLL(None).determinism_install()
    if failed:
        raise ToolchainError(
            f"the determinism library cannot be installed (step {failed}): does this kernel allow seccomp filters?"
        )
    try:
        componentize_py.componentize(
            wit_path=[wit], python_path=[str(copied)], app_name=_PROGRAM, output_path=str(out), **COMPONENTIZE
        )
    except Exception as error:
        raise ToolchainError(f"componentize-py failed on {_PROGRAM}: {error}") from None
    return copied


def main() -> None:
    """Reads the command line and writes the component or the standard library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--zig", type=Path, required=True, help="the unpacked wheel of ziglang")
    parser.add_argument("--sources", type=Path, required=True, help="the directory of the boot programs")
    parser.add_argument("--component", type=Path, required=True, help="write the component here")
    parser.add_argument(
        "--stdlib", type=Path, required=True, help="write CPython's standard library here, as a zip file"
    )
    options = parser.parse_args()
    # Not LD_PRELOAD, which the caller may use for something else.
    if _MODULE_PATH not in os.environ:
        # Left behind on purpose: the new process needs the library until its end.
        work = Path(tempfile.mkdtemp(prefix="determinism-"))
        nowhere = Path(os.devnull)
        _restart_with(build_library(Tools(options.zig.absolute(), nowhere, nowhere, work)))
    library = Path(os.environ["LD_PRELOAD"])
    # Where an open file keeps its directory, as on NFS or FUSE, an empty one stays behind.
    shutil.rmtree(library.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory() as work_name:
        ran = componentize(options.sources.absolute(), options.component.absolute(), Path(work_name))
        shutil.copyfile(ran / "stdlib.zip", options.stdlib)


if __name__ == "__main__":
    run_main(main)
