"""Runs CPython's modules of tests by the lot: each lot is a filter, built and run in a process of its own."""

from __future__ import annotations

import datetime
import functools
import hashlib
import math
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import wasmtime

from tests.conformance import in_envoy
from tests.conformance.in_envoy import Class
from tests.conformance.record import ModuleRun, Outcome, Outcomes, compare, counted
from tests.conformance.regression import (
    COLD_LIMIT_SECONDS,
    LIMIT_SECONDS,
    Runner,
    build,
    build_compiled,
    divided,
    source,
)
from toolchain.tools import ToolchainError

SETTINGS = ["compiled under wasmtime", "cold under wasmtime", "cold in Envoy"]

_FORK = multiprocessing.get_context("fork")
_ENDLESS = ("did not end", "ended the VM")


@dataclass
class Lot:
    """What some modules of tests came to."""

    runtime: str = ""
    """The version of CPython in the module."""

    modules: dict[str, ModuleRun] = field(default_factory=dict)


@dataclass
class _Found:
    """What a module of tests came to in each setting."""

    absent: str
    classes: list[str]
    compiled: Outcomes = field(default_factory=dict)
    cold: Outcomes = field(default_factory=dict)
    in_envoy: Outcomes = field(default_factory=dict)


def say(text: str) -> None:
    """Prints a line of progress, with the time."""
    print(f"{datetime.datetime.now():%H:%M:%S} {text}", flush=True)


def run(
    library: Path, modules: Sequence[str], jobs: int, compiled_alone: bool = False, minutes: float = math.inf
) -> Iterator[Lot]:
    """Runs modules of tests in lots, so many at a time, and yields what each lot came to.

    In the first setting alone they take a small part of the time. After so many minutes no lot begins.
    """
    until = time.monotonic() + minutes * 60
    lots = divided({name: source(library, name).stat().st_size for name in modules})
    with _FORK.Pool(jobs, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(
            functools.partial(_run_in_time, until, library, compiled_alone), lots, chunksize=1
        )


def _run_in_time(until: float, library: Path, compiled_alone: bool, modules: Sequence[str]) -> Lot:
    return _run_lot(library, compiled_alone, modules) if time.monotonic() < until else Lot()


def _run_lot(library: Path, compiled_alone: bool, modules: Sequence[str]) -> Lot:
    """Runs a lot. One that cannot be built is halved, until it is clear which module of tests cannot be in a filter."""
    try:
        with tempfile.TemporaryDirectory(prefix="conformance-") as work:
            return (_run_compiled if compiled_alone else _run_built)(library, modules, Path(work))
    except (ToolchainError, wasmtime.WasmtimeError, wasmtime.Trap) as error:
        if len(modules) == 1:
            why = str(error).strip().splitlines()[-1]
            say(f"{modules[0]}: not built: {why}")
            return Lot("", {modules[0]: ModuleRun(absent=f"not built: {why}", on=digest())})
    half = len(modules) // 2
    made = Lot()
    for part in (modules[:half], modules[half:]):
        lot = _run_lot(library, compiled_alone, part)
        made.runtime = lot.runtime or made.runtime
        made.modules.update(lot.modules)
    return made


def _run_compiled(library: Path, modules: Sequence[str], work: Path) -> Lot:
    compiled = Runner(build_compiled(library, modules, work), work, LIMIT_SECONDS)
    made = Lot(compiled.version())
    for name in modules:
        classes, absent = compiled.classes(name)
        found: Outcomes = {}
        for cls in classes:
            found.update(compiled.run(name, cls))
        made.modules[name] = compare(name, absent, [found])
        made.modules[name].alone, made.modules[name].on = SETTINGS[0], digest()
        say(f"{name}: {counted(found)} {absent}")
    return made


def _run_built(library: Path, modules: Sequence[str], work: Path) -> Lot:
    built = build(library, modules, work)
    say(f"built: {' '.join(modules)}")
    compiled = Runner(built.compiled, work, LIMIT_SECONDS)
    cold = Runner(built.cold, work, COLD_LIMIT_SECONDS)
    runtime = compiled.version()
    everything: dict[str, _Found] = {}
    plan: dict[Class, list[str]] = {}
    for name in modules:
        classes, absent = compiled.classes(name)
        found = everything[name] = _Found(absent, classes)
        for cls in classes:
            one = compiled.run(name, cls)
            other = _with_endless(one, cold.run(name, cls, _endless(one)))
            found.compiled.update(one)
            found.cold.update(other)
            plan[name, cls] = _endless(other)
        say(f"{name}: {counted(found.compiled)} {absent}")
    say(f"in Envoy: {len(plan)} classes")
    all_cold = {test: outcome for found in everything.values() for test, outcome in found.cold.items()}
    proxied = in_envoy.run(built.cold, plan, work) if plan else {}
    say("in Envoy: over")
    made = Lot(runtime)
    for name, found in everything.items():
        in_proxy = {test: proxied[test] for test in found.cold if test in proxied}
        outcomes = [found.compiled, found.cold, _with_endless(found.cold, in_proxy)]
        made.modules[name] = compare(name, found.absent, outcomes)
        made.modules[name].on = digest()
        for test, words in made.modules[name].different.items():
            say(f"differs: {test}: {words}")
    if unknown := proxied.keys() - all_cold.keys():
        raise RuntimeError(f"tests that ran in Envoy alone: {sorted(unknown)}")
    return made


def digest() -> str:
    """Returns how the SHA-256 of the runtime begins."""
    return hashlib.sha256(Path("toolchain/runtime.wasm").read_bytes()).hexdigest()[:12]


def _endless(outcomes: Outcomes) -> list[str]:
    return [test for test, outcome in outcomes.items() if outcome.word in _ENDLESS]


def _with_endless(before: Outcomes, outcomes: Outcomes) -> dict[str, Outcome]:
    """Returns the outcomes with those of the tests that were left out since they have no end."""
    return {**{test: before[test] for test in _endless(before)}, **outcomes}
