"""Makes a filter's module of its snapshot: trains it with every function cold, and keeps compiled what ran, with hints to its branches.

A training is a Python module with a function `train`. It is given a core module, runs it as a proxy would, and yields its memory: what
was called until then is to be compiled. What need not be fast, such as a configuration, it lets the module forget before
(`assemble.FORGET`).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from toolchain import verify
from toolchain.abi import read_abi
from toolchain.tier.assemble import Tiered, assemble
from toolchain.tier.hints import hint
from toolchain.tier.report import report
from toolchain.tier.translation import read_translation
from toolchain.tools import ToolchainError, read, run_main

Trained = tuple[list[int], dict[int, set[int]], set[int]]
"""What ran in a training: see `train`."""


def run(training: str, module: bytes) -> Iterator[bytes]:
    """Yields a VM's memory from a training; raises `ToolchainError` with the training's traceback."""
    try:
        yield from importlib.import_module(training).train(module)
    except Exception as error:
        text = "".join(traceback.format_exception(error)).rstrip()
        raise ToolchainError(f"the training {training} failed:\n{text}") from None


def warned(training: str, cold: Tiered) -> tuple[Trained, list[str]]:
    """Returns what `train` does, and what the training warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        trained = train(training, cold)
    return trained, [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]


def train(training: str, cold: Tiered) -> Trained:
    """Returns what ran in a training: the functions, first those that always did, the marks of parts, and what it let be forgotten.

    Raises as `run` does.
    """
    ran: Counter[int] = Counter()
    reached: dict[int, set[int]] = {}
    started: set[int] = set()
    for memory in run(training, cold.module):
        ran.update(cold.called(memory))
        started |= cold.ever_called(memory)
        for function, marks in cold.reached(memory).items():
            reached[function] = reached.get(function, set()) | set(marks)
    return sorted(ran, key=lambda function: (-ran[function], function)), reached, started.difference(ran)


def main() -> None:
    """Reads the command line and writes the filter's module and the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--snapshot", type=Path, required=True, help="the filter's module with all functions compiled")
    parser.add_argument("--translation", type=Path, required=True, help="the runtime's cold code")
    parser.add_argument("--interpreter", type=Path, required=True, help="the interpreter's core module")
    parser.add_argument("--names", type=Path, required=True, help="the names of the runtime's functions")
    parser.add_argument("--abi", type=Path, required=True, help="the ABI table")
    parser.add_argument("--training", required=True, help="the module that trains, such as filter.training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--warnings", type=Path, help="what the snapshot warned of, for the report")
    parser.add_argument("--report", type=Path, required=True, help="write here what is compiled, what is cold, and why")
    options = parser.parse_args()
    snapshot, interpreter = read(options.snapshot), read(options.interpreter)
    translation = read_translation(read(options.translation))
    cold = assemble(snapshot, (), interpreter, translation, training=True)
    (ran, reached, started), said = warned(options.training, cold)
    for warning in said:
        print(f"warning: {warning}", file=sys.stderr)
    if not ran:
        raise ToolchainError(f"the training {options.training} ran nothing of the module that it was given")
    tiered = assemble(snapshot, ran, interpreter, translation, reached=reached, started=started)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they were said in the first training
        module = hint(tiered.module, partial(run, options.training))
    verify.verify(module, read_abi(options.abi))
    options.out.write_bytes(module)
    said += read(options.warnings).decode().splitlines() if options.warnings else []
    notes = "".join(f"warning: {warning}\n" for warning in said)
    compiled = report(snapshot, ran, reached, translation, read(options.names).decode())
    options.report.write_text(f"{notes}\n{compiled}" if notes else compiled)


if __name__ == "__main__":
    run_main(main)
