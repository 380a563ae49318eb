"""Builds a filter: its Python, frozen into a runtime, as one Proxy-Wasm core module.

    snapshot  the filter's module is imported in CPython, whose state becomes a module
    tier      what the filter's training runs stays compiled, and the rest is interpreted

`build_filter` does both in memory. The command line can take one step at a time: Bazel keeps what the first one wrote.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from toolchain import imports, producers, verify
from toolchain.abi import Abi, read_abi
from toolchain.memo import Memo
from toolchain.recipe.files import RuntimeFiles, written
from toolchain.recipe.options import add_options, add_steps, taken
from toolchain.snapshot import Frozen, Snapshot, snapshot
from toolchain.tools import Progress, Say, ToolchainError, read, silent
from toolchain.vm.builtins import read_builtins
from toolchain.vm.sources import Sources

if TYPE_CHECKING:
    from toolchain.tier.build import Built, Learned, Prepared
    from toolchain.tier.report import Weights

SNAPSHOT, TIER = "snapshot", "tier"
_MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class FilterInputs:
    """What a filter is built from."""

    runtime: Annotated[Path, "the directory that `python -m toolchain runtime` wrote"]
    abi: Annotated[Path, "the ABI table: proxy_wasm/abi.toml"]
    root: Annotated[tuple[Path, ...], "a directory in which modules are looked up; repeatable, the first one wins"]
    module: Annotated[str, "the filter's module, such as filter.plugin"]
    training: Annotated[str, "the module that trains it, such as filter.training"] = "proxy_wasm.testing.training"
    keep: Annotated[
        tuple[str, ...], "a module or a codec to keep that no source names, such as _pickle; repeatable"
    ] = ()


@dataclass(frozen=True)
class FilterOutputs:
    """Where a filter is written to. A single step needs the files that it reads or writes."""

    out: Annotated[Path | None, "the filter's module; of the step snapshot alone, without a cold tier"] = None
    report: Annotated[Path | None, "a text: the warnings, and what is compiled, what is cold and why"] = None
    snapshot: Annotated[Path | None, "the module before the cold tier"] = None
    warnings: Annotated[Path | None, "what the snapshot warned of, a line each"] = None


@dataclass(frozen=True)
class BuiltFilter:
    """A filter's module, and what its author should know."""

    module: bytes
    """The core module for a proxy."""

    snapshot: bytes
    """The module before the cold tier, all of it compiled."""

    warnings: Sequence[str]
    """What was found in the filter, or went wrong in its training: a sentence each."""

    modules: Sequence[Frozen]
    """The modules of Python that are in it."""

    tiered: Built
    """What the cold tier made, as it was before imports were dropped."""

    @property
    def learned(self) -> Learned:
        """What the training taught, for `tiered_quickly`."""
        return self.tiered.learned

    @property
    def weights(self) -> Weights:
        """What weighs how much in the module."""
        return self.tiered.weights

    @property
    def report(self) -> str:
        """The warnings, and which functions are compiled, which are cold and why."""
        notes = "".join(f"warning: {warning}\n" for warning in self.warnings)
        return f"{notes}\n{self.tiered.report}" if notes else self.tiered.report


def build_filter(inputs: FilterInputs, say: Say = silent, memo: Memo | None = None) -> BuiltFilter:
    """Returns a filter, or raises `ToolchainError`: its text has the traceback of what the filter's own code raised.

    A memo of this runtime makes it quicker, and the bytes are the same.
    """
    return tiered(inputs, freeze(inputs, say, memo), say, memo)


def freeze(inputs: FilterInputs, say: Say = silent, memo: Memo | None = None, coarse: bool = False) -> Snapshot:
    """Returns the filter's module without a cold tier; raises as `build_filter`. `coarse` is `snapshot`'s."""
    abi, files = _abi(inputs), RuntimeFiles(inputs.runtime)
    for root in inputs.root:
        if not root.is_dir():
            raise ToolchainError(f"the root {root} is not a directory; modules are looked up in it")
    runtime, sources = files.read(files.module), Sources(list(inputs.root), files.stdlib)
    _check_module(inputs, sources)
    if not files.compiled.exists():
        say("compiling the runtime for this machine (`python -m toolchain runtime --step compile` would keep it)")
    say(f"freezing {inputs.module}")
    compiled = files.compiled if files.compiled.exists() else None
    frozen = snapshot(runtime, compiled, sources, inputs.module, abi, memo, coarse, inputs.keep)
    if not coarse:
        # Of a coarse one nobody has anything but what is made of it, which is verified.
        verify.verify(frozen.module, abi)
    return frozen


def tiered(inputs: FilterInputs, frozen: Snapshot, say: Say = silent, memo: Memo | None = None) -> BuiltFilter:
    """Returns the filter of a snapshot; raises as `build_filter`."""
    # Here, so that a change of the cold tier does not freeze the filter anew.
    from toolchain.tier import build, pack

    with _importable(inputs.root):
        _check_training(inputs)
        built = build.build(
            frozen.module,
            _prepared(inputs.runtime),
            inputs.training,
            say,
            pack.remembering(memo),
            frozen.left_out,
        )
    module = _finished(inputs, frozen, built.module)
    warnings = [*built.warnings, *frozen.warnings]
    marked = imports.mark(frozen.module, frozen.unreached, frozen.left_out)
    return BuiltFilter(module, marked, tuple(warnings), frozen.modules, built)


def tiered_quickly(inputs: FilterInputs, frozen: Snapshot, learned: Learned) -> bytes:
    """Returns the filter of a snapshot for a look at it: what an earlier training taught is compiled, and it is somewhat larger and slower.

    It imports all host calls. Raises as `build_filter`.
    """
    from toolchain.tier import build, pack

    made = build.untrained(
        frozen.module, _prepared(inputs.runtime), learned, pack.compress_quickly, hinted=False, without=frozen.left_out
    )
    module = producers.copied(made, frozen.module)
    verify.verify(module, _abi(inputs))
    return module


@functools.lru_cache(maxsize=1)
def _prepared(runtime: Path) -> Prepared:
    from toolchain.tier import build
    from toolchain.tier.translation import read_translation

    files = RuntimeFiles(runtime)
    translation = read_translation(files.read(files.translation))
    builtins = read_builtins(files.read(files.builtins))
    return build.Prepared(files.read(files.interpreter), translation, files.read(files.names).decode(), builtins)


def _finished(inputs: FilterInputs, frozen: Snapshot, module: bytes) -> bytes:
    finished = producers.copied(imports.drop(module, frozen.unreached), frozen.module)
    verify.verify(finished, _abi(inputs))
    return finished


def _abi(inputs: FilterInputs) -> Abi:
    read(inputs.abi)
    return read_abi(inputs.abi)


def _check_module(inputs: FilterInputs, sources: Sources) -> None:
    name = inputs.module
    if _MODULE.fullmatch(name) and sources.find(name) is not None:
        return
    if not _MODULE.fullmatch(name) or name.endswith(".py"):
        wanted = name.removesuffix(".py").strip("./").replace("/", ".")
        hint = f"; do you mean {wanted}?" if _MODULE.fullmatch(wanted) else ""
        raise ToolchainError(f"{name} is no module's name, such as filter.plugin{hint}")
    path = name.replace(".", "/")
    beside = [found.stem for root in inputs.root for found in sorted((root / path).parent.glob("*.py"))]
    close = difflib.get_close_matches(Path(path).name, beside, 1)
    hint = f"; do you mean {'.'.join([*name.split('.')[:-1], *close])}?" if close else ""
    roots = ", ".join(map(str, inputs.root))
    raise ToolchainError(f"there is no module {name}: no {path}.py in a root ({roots}){hint}")


def _check_training(inputs: FilterInputs) -> None:
    with contextlib.suppress(ModuleNotFoundError, ValueError):
        if importlib.util.find_spec(inputs.training) is not None:
            return
    raise ToolchainError(
        f"there is no module {inputs.training} to train with; it is looked up in the roots, and has a function `train` "
        "as proxy_wasm/testing/training.py does"
    )


@contextlib.contextmanager
def _importable(roots: Sequence[Path]) -> Iterator[None]:
    """Lets the training be imported from the roots. The builder's own modules come first."""
    before = list(sys.path)
    sys.path += [path for path in map(os.path.abspath, roots) if path not in before]
    try:
        yield
    finally:
        sys.path[:] = before


# ---- the command line


def _named(path: Path | None, name: str, step: str) -> Path:
    if path is None:
        raise ToolchainError(f"--{name} is missing; the step {step} needs it")
    return path


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _write_snapshot(frozen: Snapshot, outputs: FilterOutputs) -> None:
    if outputs.snapshot:
        written(outputs.snapshot, imports.mark(frozen.module, frozen.unreached, frozen.left_out))
    if outputs.warnings:
        written(outputs.warnings, "".join(f"{warning}\n" for warning in frozen.warnings).encode())


def _read_snapshot(outputs: FilterOutputs) -> Snapshot:
    module = read(_named(outputs.snapshot, "snapshot", TIER))
    warnings = read(outputs.warnings).decode().splitlines() if outputs.warnings else []
    return Snapshot(module, warnings, imports.marked(module), imports.marked(module, imports.LEFT_OUT))


def write_filter(inputs: FilterInputs, outputs: FilterOutputs, steps: Sequence[str], say: Say) -> None:
    """Takes these steps and writes what they make; raises as `build_filter`, and for a file that is missing."""
    if SNAPSHOT in steps:
        if TIER not in steps and not outputs.out:
            _named(outputs.snapshot, "snapshot", SNAPSHOT)
        frozen = freeze(inputs, say)
        _warn(frozen.warnings)
        if TIER not in steps and outputs.out:
            written(outputs.out, imports.drop(frozen.module, frozen.unreached))
        _write_snapshot(frozen, outputs)
    if TIER in steps:
        out = _named(outputs.out, "out", TIER)
        if SNAPSHOT not in steps:
            frozen = _read_snapshot(outputs)
        built = tiered(inputs, frozen, say)
        _warn(built.warnings[: len(built.warnings) - len(frozen.warnings)])
        say(written(out, built.module))
        if outputs.report:
            written(outputs.report, built.report.encode())


def main() -> None:
    """Reads the command line and builds the filter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, FilterInputs)
    add_options(parser, FilterOutputs)
    add_steps(parser, (SNAPSHOT, TIER), (SNAPSHOT, TIER))
    given = parser.parse_args()
    inputs, outputs = taken(FilterInputs, given), taken(FilterOutputs, given)
    write_filter(inputs, outputs, given.step or (SNAPSHOT, TIER), silent if given.quiet else Progress())
