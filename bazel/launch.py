"""Runs a module of this repository as the main program, with nothing on the path but what Bazel declared.

Usage: python3 -S -B launch.py PATH... -- MODULE ARGUMENT...
"""

from __future__ import annotations

import os
import runpy
import sys


def main() -> None:
    """Puts each PATH in front of the standard library and runs MODULE."""
    end = sys.argv.index("--")
    # Not Path.resolve(), which follows the sandbox's symlinks out of the sandbox.
    paths = [os.path.abspath(path) for path in sys.argv[1:end]]
    directory = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = paths + [path for path in sys.path if path != directory]
    # For programs that the module starts with `sys.executable -S`.
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    module, sys.argv = sys.argv[end + 1], sys.argv[end + 1 :]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
