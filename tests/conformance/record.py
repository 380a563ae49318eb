"""What others' tests came to, as `docs/conformance.json` keeps it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.conformance.kinds import reason_of

RECORD, PAGE = Path("docs/conformance.json"), Path("docs/conformance.md")


@dataclass
class Specification:
    """What the specification's scripts came to."""

    suite: str
    """What ran, in words."""
    date: str
    processor: str
    scripts: int
    unread: list[str]
    """The scripts that `wast2json` does not read."""
    forms: dict[str, dict[str, int]] = field(default_factory=dict)
    """By the form of being cold, what was counted, by name."""
    refused: dict[str, int] = field(default_factory=dict)
    """How many modules the tier refuses, by its sentence."""
    different: list[str] = field(default_factory=list)
    """What cold code does otherwise."""
    explained: list[str] = field(default_factory=list)
    """What it does otherwise for a reason that is known."""


@dataclass(frozen=True)
class Outcome:
    """What a test came to."""

    word: str
    """`passed`, `failed`, `skipped`, `left out`, `ended the VM` or `did not end`."""

    message: str = ""
    """Why, without what differs from run to run."""


Outcomes = dict[str, Outcome]
"""What tests came to, by their ids."""


@dataclass
class ModuleRun:
    """What a module of CPython's tests came to."""

    compiled: dict[str, int] = field(default_factory=dict)
    """How many tests, by the outcome's word."""
    absent: str = ""
    """Why the module of tests could not be imported."""
    failed: dict[str, list[str]] = field(default_factory=dict)
    """The tests that fail for a known reason, by its name; their ids go on from the module's name."""
    otherwise: dict[str, list[str]] = field(default_factory=dict)
    """By the test's id, its outcome's word and message, of the others that neither passed nor were skipped."""
    different: dict[str, list[str]] = field(default_factory=dict)
    """By the test's id, what it came to in each setting, if that is not the same in all."""
    skipped: dict[str, int] = field(default_factory=dict)
    """How many tests were skipped, by the reason."""
    alone: str = ""
    """The setting in which it ran, if that is one alone."""
    on: str = ""
    """How the SHA-256 of `runtime.wasm` begins, of which the module was built."""


@dataclass
class CPython:
    """What CPython's own tests came to."""

    suite: str
    runtime: str
    """The version of CPython in the module."""
    date: str
    processor: str
    modules: dict[str, ModuleRun] = field(default_factory=dict)
    settings: list[str] = field(default_factory=list)
    """Where they ran, in the order in which a module's differences are told."""
    left: int = 0
    """How many modules of tests have not run yet."""


@dataclass
class Record:
    """The last runs."""

    specification: Specification | None = None
    cpython: CPython | None = None


def counted(outcomes: Outcomes) -> dict[str, int]:
    """Returns how many tests came to each outcome's word."""
    return dict(sorted(Counter(outcome.word for outcome in outcomes.values()).items()))


def compare(name: str, absent: str, settings: Sequence[Outcomes]) -> ModuleRun:
    """Returns what a module of tests came to in the first setting, and what differs between all."""
    first = settings[0]
    skips = Counter(outcome.message for outcome in first.values() if outcome.word == "skipped")
    made = ModuleRun(counted(first), absent, skipped=dict(sorted(skips.items())))
    for test, outcome in first.items():
        if outcome.word not in ("passed", "skipped"):
            made.otherwise[test] = [outcome.word, outcome.message]
    for test in dict.fromkeys(test for outcomes in settings for test in outcomes):
        found = [outcomes.get(test) for outcomes in settings]
        if any(one != found[0] for one in found):
            made.different[test] = [f"{one.word}: {one.message}" if one else "did not run" for one in found]
    explain(name, made, {test: reason for test, message in unexplained(made) if (reason := reason_of(test, message))})
    return made


def unexplained(run: ModuleRun) -> list[tuple[str, str]]:
    """Returns the ids and messages of the tests that fail for no known reason."""
    return [(test, message) for test, (word, message) in run.otherwise.items() if word == "failed"]


def explain(name: str, run: ModuleRun, reasons: Mapping[str, str]) -> None:
    """Notes the names of the reasons of tests that fail; their messages are not kept."""
    for test, reason in reasons.items():
        del run.otherwise[test]
        run.failed.setdefault(reason, []).append(test.removeprefix(f"{name}."))


def remember(name: str, run: ModuleRun, before: ModuleRun) -> None:
    """Notes what `natively` said in an earlier run of tests that still fail for no other reason."""
    known = {test: reason for reason, tests in before.failed.items() for test in tests}
    short = {test: test.removeprefix(f"{name}.") for test, _ in unexplained(run)}
    explain(name, run, {test: known[end] for test, end in short.items() if end in known})


def is_new(run: ModuleRun, runtime: str) -> bool:
    """Tells whether a module of tests ran on the runtime whose SHA-256 begins so, or is in no filter."""
    return bool(run.absent) or run.on == runtime


def write(record: Record) -> str:
    """Returns the record as JSON, a line for each module of tests."""
    data = asdict(record)
    if data["cpython"]:
        modules = data["cpython"]["modules"]
        data["cpython"]["modules"] = {
            name: {k: v for k, v in run.items() if v} for name, run in sorted(modules.items())
        }
    return _lines(data, 3) + "\n"


def _lines(value: Any, levels: int) -> str:
    """Returns a value as JSON, so many levels of it by the line."""
    if not levels or not value or not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {_lines(item, levels - 1)}" for name, item in value.items()) + "\n}"


def read(text: str) -> Record:
    """Reads what `write` wrote."""
    data = json.loads(text)
    made = Record()
    if data["specification"]:
        made.specification = Specification(**data["specification"])
    if data["cpython"]:
        modules = {name: ModuleRun(**tests) for name, tests in data["cpython"].pop("modules").items()}
        made.cpython = CPython(**data["cpython"], modules=modules)
    return made
