"""What others' tests came to, and the page that shows it: `docs/conformance.md`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.conformance.kinds import KINDS, kind_of

RECORD, PAGE = Path("docs/conformance.json"), Path("docs/conformance.md")
UNCLASSIFIED = "not yet classified"

_HEAD = """\
# Conformance

<!-- Generated from conformance.json by `./bazelw run //tests/conformance`: do not edit. -->

What the tests of others say of a built module: those of the WebAssembly specification, and CPython's own. Nothing of them is in this
repository. `./bazelw run //tests/conformance` takes a directory of them.
"""

_SPECIFICATION = """\
## The cold tier and the WebAssembly specification

Each assertion ran on the module as it is, and on the same module with functions cold. Compared were results bit for bit, and traps.
"""

_CPYTHON = """\
## CPython's own tests

They ran inside of a built module under wasmtime, compiled and cold. A filter has no files, sockets, processes or threads. Imports end with
the build. What asks for these fails. Tests of a later release than the module's CPython also test what was changed between.
"""


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
    """`passed`, `failed`, `skipped`, `ended the VM` or `did not end`."""

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
    otherwise: dict[str, list[str]] = field(default_factory=dict)
    """By the test's id, its outcome's word and message, if it neither passed nor was skipped."""
    different: dict[str, list[str]] = field(default_factory=dict)
    """By the test's id, what it came to compiled and cold, if that is not the same."""


@dataclass
class CPython:
    """What CPython's own tests came to."""

    suite: str
    runtime: str
    """The version of CPython in the module."""
    date: str
    processor: str
    modules: dict[str, ModuleRun] = field(default_factory=dict)


@dataclass
class Record:
    """The last runs."""

    specification: Specification | None = None
    cpython: CPython | None = None


def counted(outcomes: Outcomes) -> dict[str, int]:
    """Returns how many tests came to each outcome's word."""
    return dict(sorted(Counter(outcome.word for outcome in outcomes.values()).items()))


def compare(absent: str, compiled: Outcomes, cold: Outcomes) -> ModuleRun:
    """Returns what a module of tests came to, and what differs between both."""
    made = ModuleRun(counted(compiled), absent)
    for test, outcome in compiled.items():
        if outcome.word not in ("passed", "skipped"):
            made.otherwise[test] = [outcome.word, outcome.message]
    for test in dict.fromkeys([*compiled, *cold]):
        one, other = compiled.get(test), cold.get(test)
        if one != other:
            made.different[test] = [
                f"{found.word}: {found.message}" if found else "did not run" for found in (one, other)
            ]
    return made


def write(record: Record) -> str:
    """Returns the record as JSON."""
    return json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n"


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


def page(record: Record) -> str:
    """Returns the page in Markdown."""
    parts = [_HEAD]
    if record.specification:
        parts += [_SPECIFICATION, *_of_specification(record.specification)]
    if record.cpython:
        parts += [_CPYTHON, *_of_cpython(record.cpython)]
    return "\n".join(parts)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _plain(text: str) -> str:
    return text.replace("|", "/").replace("`", "'").replace("\\", "\\\\").replace("<", "&lt;")


def _of_specification(found: Specification) -> list[str]:
    names = list(next(iter(found.forms.values())))
    rows = [[form, *(f"{counts[name]:,}" for name in names)] for form, counts in found.forms.items()]
    parts = [
        f"The last run was on {found.date}, on {found.processor}: {found.suite}.\n",
        _table(["form", *names], rows),
    ]
    if found.unread:
        parts.append(f"Of {found.scripts + len(found.unread)} scripts, `wast2json` reads {found.scripts}.\n")
    if found.refused:
        rows = [[_plain(sentence), str(count)] for sentence, count in sorted(found.refused.items())]
        parts += ["What the tier refuses, and with which sentence:\n", _table(["sentence", "modules"], rows)]
    otherwise = [line.partition(": ") for line in (*found.explained, *found.different)]
    if not otherwise:
        return [*parts, "Nothing is otherwise cold.\n"]
    rows = [[where, _plain(what)] for where, _, what in otherwise]
    return [*parts, "What is otherwise cold:\n", _table(["where", "what"], rows)]


def _of_cpython(found: CPython) -> list[str]:
    total: Counter[str] = Counter()
    rows, kinds = [], Counter[str]()
    for name, tests in sorted(found.modules.items()):
        total.update(tests.compiled)
        ended = tests.compiled.get("ended the VM", 0) + tests.compiled.get("did not end", 0)
        counts = [str(tests.compiled.get(word, 0)) for word in ("passed", "failed", "skipped")]
        rows.append([f"`{name}`", *counts, str(ended), str(len(tests.different))])
        kinds.update(kind_of(test, message) or UNCLASSIFIED for test, (_, message) in tests.otherwise.items())
        if tests.absent.startswith("failed"):
            kinds[kind_of(name, tests.absent) or UNCLASSIFIED] += 1
    ended = total["ended the VM"] + total["did not end"]
    different = sum(len(tests.different) for tests in found.modules.values())
    rows.insert(
        0, ["all", *(f"{total[word]:,}" for word in ("passed", "failed", "skipped")), str(ended), str(different)]
    )
    head = ["module of tests", "passed", "failed", "skipped", "ended the VM, or had no end", "otherwise cold"]
    parts = [
        f"The last run was on {found.date}, on {found.processor}: {found.suite}, on CPython {found.runtime}.\n",
        f"Modules of tests that ran: {len(found.modules)}.\n",
        "### Why tests fail\n",
        _table(["why", "tests"], [[kind, str(count)] for kind, count in _in_order(kinds)]),
        "### By module\n",
        _table(head, rows),
    ]
    worst = [
        [f"`{test}`", word, _plain(message)]
        for tests in found.modules.values()
        for test, (word, message) in tests.otherwise.items()
        if word != "failed"
    ]
    parts += ["### What ended the VM, or had no end\n", _table(["test", "what", ""], worst) if worst else "No test.\n"]
    otherwise = [
        [f"`{test}`", _plain(compiled), _plain(cold)]
        for tests in found.modules.values()
        for test, (compiled, cold) in tests.different.items()
    ]
    differing = _table(["test", "compiled", "cold"], otherwise) if otherwise else "No test.\n"
    return [*parts, "### What is otherwise cold\n", differing]


def _in_order(kinds: Mapping[str, int]) -> list[tuple[str, int]]:
    order = [*KINDS, UNCLASSIFIED]
    return sorted(kinds.items(), key=lambda item: order.index(item[0]))
