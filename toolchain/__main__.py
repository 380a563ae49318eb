"""The toolchain's command line: `python -m toolchain COMMAND ...`. Each command says with `--help` what it takes."""

from __future__ import annotations

import importlib
import sys

from toolchain.tools import run_main

_COMMANDS = {
    "runtime": ("toolchain.recipe.runtime", "build CPython as a core module, into which filters are frozen"),
    "filter": ("toolchain.recipe.filter", "freeze a filter into a runtime: one module for a proxy"),
    "verify": ("toolchain.verify", "check that a module is what a proxy can load"),
    "type-stubs": ("toolchain.boundary.type_stubs", "print the type stubs of the boundary, from the ABI table"),
}


def main() -> None:
    """Runs the command that is named first."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in _COMMANDS:
        lines = [f"  {command:10} {text}" for command, (_, text) in _COMMANDS.items()]
        usage = "\n".join(["usage: python -m toolchain COMMAND ...", "", *lines])
        if name in ("-h", "--help"):
            print(usage)
            return
        sys.exit(f"{usage}\n\nerror: {f'no command is called {name}' if name else 'a command is missing'}")
    sys.argv = [f"python -m toolchain {name}", *sys.argv[2:]]
    # Only what the command needs: Bazel gives it no more.
    run_main(importlib.import_module(_COMMANDS[name][0]).main)


if __name__ == "__main__":
    main()
