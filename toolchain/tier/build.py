"""Makes a filter's module of its snapshot: trains it with every function cold, and keeps compiled what ran, with hints to its branches.

A training is a Python module with a function `train`. It is given a core module, runs it as a proxy would, and yields its memory: what
was called until then is to be compiled. What need not be fast, such as a start, it lets the module forget before (`assemble.FORGET`).
Of a memory with a true attribute `seldom` only the hot functions are to be compiled (`heat.py`).
"""

from __future__ import annotations

import importlib
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from types import TracebackType
from typing import NamedTuple, cast

from toolchain.tier import calls, growth, heat
from toolchain.tier.assemble import Tiered, assemble
from toolchain.tier.hints import Counts, find_hints, put_hints
from toolchain.tier.pack import Compress, compress
from toolchain.tier.report import Weights, report, weigh
from toolchain.tier.translation import Translation
from toolchain.tier.without import check
from toolchain.tools import Say, ToolchainError, silent
from toolchain.vm.builtins import Builtins
from toolchain.wasm.format import Module


@dataclass
class Trained:
    """What ran in a training, by function."""

    often: list[int]
    """First those that ran most of the time."""
    seldom: list[int]
    """What ran only where the training says that it happens seldom."""
    reached: dict[int, set[int]]
    """The marks of parts."""
    started: set[int]
    """What the training let be forgotten."""


def run(training: str, module: bytes) -> Iterator[bytes]:
    """Yields a VM's memory from a training; raises `ToolchainError` with the training's traceback."""
    try:
        train = getattr(importlib.import_module(training), "train", None)
        memories = train(module) if callable(train) else None
        if not isinstance(memories, Iterable):
            found = f"returned {memories!r}" if callable(train) else "is not there"
            raise ToolchainError(
                f"the training {training}: a function train(module) yields a VM's memory, but it {found}"
            )
        for memory in memories:
            if not isinstance(memory, (bytes, bytearray, memoryview)):
                raise ToolchainError(f"the training {training}: train() yields a VM's memory, not {memory!r}")
            yield cast(bytes, memory)
    except ToolchainError:
        raise
    except Exception as error:
        text = "".join(traceback.format_exception(type(error), error, _below(error.__traceback__))).rstrip()
        raise ToolchainError(f"the training {training} failed:\n{text}") from None


def _below(frames: TracebackType | None) -> TracebackType | None:
    """Leaves out the frames of this file and of importing, with which a traceback begins."""
    while frames and frames.tb_frame.f_code.co_filename in (__file__, importlib.__file__):
        frames = frames.tb_next
    return frames


def warned(training: str, cold: Tiered) -> tuple[Trained, list[str]]:
    """Returns what `train` does, and what the training warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        trained = train(training, cold)
    return trained, [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]


def train(training: str, cold: Tiered) -> Trained:
    """Returns what ran in a training. Raises as `run` does."""
    often: Counter[int] = Counter()
    seldom: set[int] = set()
    reached: dict[int, set[int]] = {}
    started: set[int] = set()
    for memory in run(training, cold.module):
        called = cold.called(memory)
        if heat.is_seldom(memory):
            seldom |= called
        else:
            often.update(called)
        started |= cold.ever_called(memory)
        for function, marks in cold.reached(memory).items():
            reached[function] = reached.get(function, set()) | set(marks)
    ordered = sorted(often, key=lambda function: (-often[function], function))
    return Trained(ordered, sorted(seldom.difference(often)), reached, started.difference(often, seldom))


def count(tiered: Tiered, training: str) -> heat.Phases:
    """Returns what a training counts in a tiered module, by the functions' indices in the module before."""
    before = {tiered.index[function]: function for function in tiered.kept}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they were said in the first training
        phases = heat.count(tiered.module, partial(run, training))
    return [(seldom, {before[f]: counts for f, counts in phase.items() if f in before}) for seldom, phase in phases]


def direct_calls(snapshot: bytes, tiered: Tiered, often: dict[int, Counts]) -> dict[int, frozenset[int]]:
    """Returns the calls that stay direct in a snapshot's functions, of which it was counted in a tiered module what runs often."""
    module = Module(snapshot)
    bodies = module.bodies()
    imported = len(list(module.function_types())) - len(bodies)
    own = {function: 2 * (function in tiered.callbacks) for function in often}
    least = max(
        1, calls.SHARE * max((often[function][0] for function in tiered.callbacks if function in often), default=0)
    )
    return {
        function: calls.made(
            bodies[function - imported],
            tiered.cold_parts.get(function, ()),
            (called, *counts[own[function] :]),
            least,
        )
        for function, (called, *counts) in often.items()
        if function >= imported
    }


def sizes(tiered: Tiered) -> dict[int, int]:
    """Returns how many bytes are compiled of each function, by its index in the module before."""
    module = Module(tiered.module)
    bodies = module.bodies()
    imported = len(list(module.function_types())) - len(bodies)
    return {function: len(bodies[index - imported]) for function, index in tiered.index.items() if index >= imported}


class Prepared(NamedTuple):
    """What the cold tier has of a runtime."""

    interpreter: bytes
    """The interpreter's core module."""

    translation: Translation
    """The runtime's functions."""

    names: str
    """A line for each function that has a name: its index and the name."""

    builtins: Builtins = Builtins({}, 0, ())
    """What only some of its modules of C need."""


class Learned(NamedTuple):
    """What a training taught, by functions of the runtime: another filter's module can be made of it too, if less well."""

    kept: list[int]
    """What stays compiled, first what ran most of the time."""

    reached: dict[int, set[int]]
    """The marks of parts."""

    started: set[int]
    """What every VM calls when it starts."""

    counts: dict[int, Counts]
    """Calls and branches."""

    direct: dict[int, frozenset[int]]
    """The calls that connections make, by their order in each function."""


@dataclass(frozen=True)
class Built:
    """A module with a cold tier."""

    module: bytes
    warnings: list[str]
    """What the training warned of."""

    learned: Learned
    _weigh: Callable[[], Weights]

    @cached_property
    def weights(self) -> Weights:
        """What weighs how much in it."""
        return self._weigh()

    @property
    def report(self) -> str:
        """What is compiled, what is cold, and why."""
        return report(self.weights)


def build(
    snapshot: bytes,
    prepared: Prepared,
    training: str,
    say: Say = silent,
    compress: Compress = compress,
    without: Collection[str] = (),
) -> Built:
    """Returns a snapshot's module with a cold tier, without what only these modules of C need.

    Raises as `run` does, and `ToolchainError` for a training that runs nothing, or what is left out.
    """
    interpreter, translation = prepared.interpreter, prepared.translation
    left_out = prepared.builtins.without(without)
    say(f"training with {training}")
    cold = assemble(snapshot, (), interpreter, translation, training=True)
    trained, said = warned(training, cold)
    ran = trained.often + trained.seldom
    if not ran:
        raise ToolchainError(f"the training {training} ran nothing of the module that it was given")
    check([*ran, *trained.started], left_out, prepared.names)
    make = partial(
        assemble,
        snapshot,
        interpreter=interpreter,
        translation=translation,
        reached=trained.reached,
        compress=compress,
        left_out=left_out,
    )
    trial = make(ran, training=True)
    say("counting calls and branches")
    counted = count(trial, training)
    cooled = heat.cool(counted, trained.seldom, sizes(trial))
    kept = [function for function in ran if function not in cooled]
    say(f"{len(kept):,} functions stay compiled")
    direct = direct_calls(snapshot, trial, heat.often(counted))
    tiered = make(kept, started=trained.started | cooled, direct=direct)
    counts = {function: counts for function, counts in heat.total(counted).items() if function not in cooled}
    learned = Learned(kept, trained.reached, trained.started | cooled, counts, direct)

    def weights() -> Weights:
        functions = weigh(snapshot, kept, trained.reached, translation, prepared.names, cooled, left_out.functions)
        zeroed = sum(end - begin for begin, end in left_out.data)
        return Weights(functions, tiered.packed_bodies, tiered.packed_image, sorted(without), zeroed)

    return Built(_finished(tiered, learned), said, learned, weights)


def untrained(
    snapshot: bytes,
    prepared: Prepared,
    learned: Learned,
    compress: Compress = compress,
    hinted: bool = True,
    without: Collection[str] = (),
) -> bytes:
    """Returns a snapshot's module with a cold tier, made of what an earlier training taught; with hints for V8, or without.

    It is without what only these modules of C need.
    """
    tiered = assemble(
        snapshot,
        learned.kept,
        prepared.interpreter,
        prepared.translation,
        reached=learned.reached,
        started=learned.started,
        direct=learned.direct,
        compress=compress,
        left_out=prepared.builtins.without(without),
    )
    return _finished(tiered, learned, hinted)


def _finished(tiered: Tiered, learned: Learned, hinted: bool = True) -> bytes:
    module = Module(tiered.module)
    counts = {tiered.index[function]: counts for function, counts in learned.counts.items()}
    found = growth.limit(module, tiered.opened, find_hints(module, counts) if hinted else {})
    if hinted:
        put_hints(module, found)
    return module.encode()
