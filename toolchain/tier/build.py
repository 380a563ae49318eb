"""Makes a filter's module of its snapshot: trains it with every function cold, and keeps compiled what ran, with hints to its branches.

A training is a Python module with a function `train`. It is given a core module, runs it as a proxy would, and yields its memory: what
was called until then is to be compiled. What need not be fast, such as a configuration, it lets the module forget before
(`assemble.FORGET`).
"""

from __future__ import annotations

import importlib
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from toolchain.tier.assemble import Tiered, assemble
from toolchain.tier.hints import hint
from toolchain.tier.report import report
from toolchain.tier.translation import read_translation
from toolchain.tools import Say, ToolchainError, silent

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


class Prepared(NamedTuple):
    """What the cold tier has of a runtime."""

    interpreter: bytes
    """The interpreter's core module."""

    translation: bytes
    """The runtime's functions, in the form that `read_translation` reads."""

    names: str
    """A line for each function that has a name: its index and the name."""


class Built(NamedTuple):
    """A module with a cold tier."""

    module: bytes
    report: str
    """What is compiled, what is cold, and why."""

    warnings: list[str]
    """What the training warned of."""


def build(snapshot: bytes, prepared: Prepared, training: str, say: Say = silent) -> Built:
    """Returns a snapshot's module with a cold tier. Raises as `run` does, and `ToolchainError` for a training that runs nothing."""
    interpreter, translation = prepared.interpreter, read_translation(prepared.translation)
    say(f"training with {training}")
    cold = assemble(snapshot, (), interpreter, translation, training=True)
    (ran, reached, started), said = warned(training, cold)
    if not ran:
        raise ToolchainError(f"the training {training} ran nothing of the module that it was given")
    say(f"{len(ran):,} functions stay compiled")
    tiered = assemble(snapshot, ran, interpreter, translation, reached=reached, started=started)
    say("counting how their branches go")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they were said in the first training
        module = hint(tiered.module, partial(run, training))
    return Built(module, report(snapshot, ran, reached, translation, prepared.names), said)
