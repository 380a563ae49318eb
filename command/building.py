"""Builds a project's filter by the toolchain's recipe, out of the project's modules, its packages and the SDK."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import proxy_wasm
from command import default_training, interrupted, lacking, memo, packages, purpose, requirements, runtime, scanning
from command.packages import Package
from command.project import Project
from toolchain.recipe.filter import BuiltFilter, FilterInputs, freeze, tiered, tiered_quickly
from toolchain.tier.build import Learned
from toolchain.tools import Say, ToolchainError, silent

_SDK = Path(proxy_wasm.__file__).parent
_MISSING = "No module named "
_NO_PACKAGE = "attempted relative import with no known parent package"
_SEEN_IN_SOURCES = (
    *("FileNotFoundError: ", "PermissionError: ", "OSError: ", "can't start new thread", "os.environ", "SystemExit: "),
    *(f"{_MISSING}'{_SDK.name}.", f" from '{_SDK.name}'"),
)
"""What errors have for which the sources say more (`scanning`)."""

_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
_STUCK = re.compile(r"^[\w.]+\.GuestStuck: (.*)$", re.MULTILINE)
_NOT_THE_AUTHORS = ("proxy_wasm/", "python/", f"{_SDK}{os.sep}", *map(sysconfig.get_path, ("stdlib", "platstdlib")))
_NOBODYS = '  File "<frozen '
"""The beginning of a traceback's lines about importing itself, which have no source to look at."""


@dataclass(frozen=True)
class Built:
    """A filter's module, and what its author should know."""

    module: bytes
    report: str
    warnings: tuple[str, ...]
    learned: Learned
    """What its training taught, for `build_quickly`."""

    callbacks: frozenset[str] = frozenset()
    """Its callbacks, as `purpose` reads them; empty if it was built quickly."""

    picture: str = ""
    """The report as a page of HTML."""

    record: str = ""
    """What it was built of, as JSON: each package by name, version and digest."""


def build(project: Project, say: Say = silent, locked: bool = False, reported: bool = False) -> Built:
    """Returns a project's filter, or raises `ToolchainError`.

    If it is locked, each package comes from the requirements file, by its hash. The reports are empty unless they are wished.
    """
    with (
        _inputs(project, say, locked) as (inputs, taken),
        _explained(project, taken),
        memo.kept(inputs.runtime) as known,
        _uncollected(),
    ):
        built = tiered(inputs, freeze(inputs, say, known, coarse=True), say, known)
        report, picture = _reports(project, built, taken, inputs.root) if reported else ("", "")
    heard = purpose.heard(built.module)
    warnings = (*_seen(project, taken, built.warnings), *purpose.idle(heard))
    record = _record(project, built.module, taken, locked)
    return Built(built.module, report, warnings, built.learned, heard, picture, record)


def _reports(project: Project, built: BuiltFilter, taken: list[Package], roots: tuple[Path, ...]) -> tuple[str, str]:
    from command import weighing

    whose = weighing.owner(*roots)
    return weighing.text(built, taken, whose), weighing.picture(project.name, built, taken, whose)


def _record(project: Project, module: bytes, taken: list[Package], locked: bool) -> str:
    """Returns what a module was built of, as JSON."""
    record = {
        "name": project.name,
        "sha256": hashlib.sha256(module).hexdigest(),
        "proxy-wasm": version("proxy-wasm"),
        "python": requirements.PYTHON,
        "runtime": {"sha256": runtime.digest()},
        "locked": locked,
        "packages": [{"name": one.name, "version": one.version, "sha256": one.digest} for one in taken],
    }
    return json.dumps(record, indent=2) + "\n"


def build_quickly(project: Project, learned: Learned) -> Built:
    """Returns a project's filter for a look at it: no training is done, and what an earlier one taught is compiled. Raises as `build`."""
    with (
        _inputs(project, silent) as (inputs, taken),
        _explained(project, taken),
        # What was compiled of a source that is about to change again is not worth writing.
        memo.kept(inputs.runtime, write=False) as known,
        _uncollected(),
    ):
        frozen = freeze(inputs, memo=known, coarse=True)
        module = tiered_quickly(inputs, frozen, learned)
    return Built(module, "", tuple(_seen(project, taken, frozen.warnings)), learned)


def check(project: Project, say: Say = silent) -> list[str]:
    """Imports a project's filter as a build does, and returns the warnings; raises `ToolchainError` for what cannot work."""
    with _inputs(project, say) as (inputs, taken), _explained(project, taken), memo.kept(inputs.runtime) as known:
        frozen = freeze(inputs, say, known)
    return [*_seen(project, taken, frozen.warnings), *purpose.idle(purpose.heard(frozen.module))]


def build_apart(project: Project, out: Path, report: Path | None = None, quiet: bool = True) -> str:
    """Builds in a process of its own, so that the training's modules are not this process's; returns its warnings.

    Raises `ToolchainError` with what the build said.
    """
    # This process may be run by a program of another name, such as pytest.
    command = [sys.executable, "-m", "proxy_wasm", "build", "--out", str(out), *(["--quiet"] if quiet else [])]
    command += ["--report", str(report)] if report else []
    command += [str(project.plugin)] if project.plugin else []
    done = interrupted.run_quietly(command, project.directory)
    if done.returncode:
        raise ToolchainError(done.stderr.strip().removeprefix("error: "))
    return done.stderr.strip()


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Lets nobody look for garbage meanwhile: a build makes millions of objects, and hardly any circle of them."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def _inputs(project: Project, say: Say, locked: bool = False) -> Iterator[tuple[FilterInputs, list[Package]]]:
    if locked and project.packages:
        raise ToolchainError(
            f"packages = {list(project.packages)} takes what happens to be installed here; to lock them, put them into a requirements "
            'file, each with its hash, and name it: requirements = "requirements.txt"'
        )
    scanning.expect_text(project)
    if not runtime.directory().is_dir():
        say("unpacking the runtime and compiling it for this machine (once)")
    prepared = runtime.prepared()
    default_training.configuration = project.configured()
    with _blaming_the_cache(prepared), tempfile.TemporaryDirectory(prefix="proxy-wasm-") as scratch:
        root = Path(scratch)
        (root / _SDK.name).mkdir()
        for module in _SDK.glob("*.py"):
            shutil.copyfile(module, root / _SDK.name / module.name)
        taken = packages.gather(project.packages, root)
        if project.requirements:
            say(f"installing {project.requirements.name}")
            directory = requirements.installed(project.requirements, runtime.cache(), locked)
            taken += packages.gather_installed(directory, root)
        training = project.training or default_training.__name__
        roots = (project.root, root)
        yield FilterInputs(prepared, _SDK / "abi.toml", roots, project.filter, training, project.keep), taken


@contextlib.contextmanager
def _blaming_the_cache(prepared: Path) -> Iterator[None]:
    """Says that the unpacked runtime is damaged, if it is, instead of what came of that."""
    try:
        yield
    except Exception:
        runtime.expect_whole(prepared)
        raise


@contextlib.contextmanager
def _explained(project: Project, taken: list[Package]) -> Iterator[None]:
    """Leaves the author's lines of a traceback, and says what the packages have to do with a module that is missing."""
    try:
        yield
    except ToolchainError as error:
        text = "\n".join(line for line in str(error).splitlines() if not line.startswith(_NOBODYS))
        text = _summarised(text, project)
        notes: list[str] = []
        if _MISSING in text:
            missing = text.rpartition(_MISSING)[2].split("\n")[0].strip("'")
            if not missing.startswith(f"{_SDK.name}."):
                notes += filter(None, [packages.advice(missing, taken), packages.nobodys(missing)])
            notes += [f"{sentence}; {packages.PURE}" for sentence in _left_out(taken)]
        if _NO_PACKAGE in text:
            notes.append(
                f"{project.filter} is in no package, so `from .` leads nowhere: write `import` and the module's name"
            )
        if any(kind in text for kind in _SEEN_IN_SOURCES):
            notes += scanning.scan(project, has_zones=_has_zones(taken))
        raise ToolchainError("\nnote: ".join([text, *notes])) from None


def _summarised(text: str, project: Project) -> str:
    """Returns an error with a line before its traceback that says where and what; the traceback goes if that is all of it."""
    said, _, traceback = text.partition("\nTraceback (most recent call last):\n")
    if stuck := _STUCK.search(traceback):
        return f"{said} {stuck[1]}; is there a loop in it that never ends?"
    frames = [found for found in _FRAME.finditer(traceback) if not found["file"].startswith(_NOT_THE_AUTHORS)]
    # The exception's own lines are not indented, as a traceback's are; what follows them is advice.
    last = re.search(r"^(?! )(?:[\w.]+\.)?(?P<what>\w+(?:: .*)?)$", traceback, re.MULTILINE)
    training = said.startswith("the training ")
    if not last or not ((training and frames) or said.startswith("importing ")):
        return text
    # Python names no file that it cannot even read.
    where = f"{frames[-1]['file']}:{frames[-1]['line']}" if frames else f"{project.filter.replace('.', '/')}.py"
    advice = traceback[last.end() :]
    shown = f"\n{traceback[: last.start()].rstrip()}" if len(frames) > 1 else ""
    return f"{'the training failed: ' if training else ''}{where}: {last['what']}{shown}{advice}"


def _seen(project: Project, taken: list[Package], warnings: Sequence[str]) -> list[str]:
    """Returns what can be seen in the sources and packages of a filter without running it, and then a build's warnings."""
    found = scanning.scan(project, runtime.library(), _has_zones(taken))
    return [*found, *_left_out(taken), *(_advised(one, taken) for one in warnings)]


def _has_zones(taken: list[Package]) -> bool:
    return "tzdata" in {package.name for package in taken}


def _advised(warning: str, taken: list[Package]) -> str:
    advice = packages.advice(lacking.module(warning), taken)
    return f"{warning}; {advice}" if advice else lacking.explained(warning)


def _left_out(taken: list[Package]) -> list[str]:
    return [
        f"{package.name} {package.version} has machine code, which is left out: {package.machine_code[0]}"
        + (f" and {len(package.machine_code) - 1} more" if len(package.machine_code) > 1 else "")
        for package in taken
        if package.machine_code
    ]
