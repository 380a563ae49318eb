"""The cold tier: a module starts as fast as the few functions that it runs, and everything else still works.

An engine compiles all of a module when it starts. Here the body of every function that a training did not run leaves the code
section: it becomes data, translated (`translate.py`) for a small interpreter (`interpreter.c`) that works on the module's own memory,
tables and globals (`assemble.py`). Training decides nothing but speed. It runs the module with every function cold, under any host:
what the interpreter fetched is what ran (`build.py`, which also writes the report).
"""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.tier.assemble import assemble
from toolchain.tier.translate import Translation


def tier(module: bytes, keep: Sequence[int], interpreter: bytes, translation: Translation | None = None) -> bytes:
    """Returns the tiered module; the arguments and errors are those of `assemble`."""
    return assemble(module, keep, interpreter, translation).module
