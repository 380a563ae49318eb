"""What others' tests came to, and the page that shows it: `docs/conformance.md`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.conformance.kinds import KINDS, LATER, explained, kind_of
from tests.conformance.later import change_of
from tests.conformance.natively import ALSO, COLUMNS, LIBRARY

RECORD, PAGE = Path("docs/conformance.json"), Path("docs/conformance.md")
UNCLASSIFIED = "not yet classified"
_REASONS = 30
"""So many reasons for skipping are shown, the most frequent ones."""

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

They ran inside of built modules in three settings: compiled under wasmtime, cold under wasmtime, and cold in Envoy. A filter has no files,
sockets, processes or threads, and imports end with the build. What asks for these fails. Tests of a later release than the module's CPython
also test what was changed between. A test that did not end, or ended the VM, did not run in the next setting.

The directory is CPython's own `Lib`. Or it is what Debian's `libpython3.14-testsuite` and `libpython3.14-stdlib` have in
`usr/lib/python3.14/test`, put together. A run that ended goes on with `--resume`.
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
    otherwise: dict[str, list[str]] = field(default_factory=dict)
    """By the test's id, its outcome's word and message, if it neither passed nor was skipped."""
    different: dict[str, list[str]] = field(default_factory=dict)
    """By the test's id, what it came to in each setting, if that is not the same in all."""
    skipped: dict[str, int] = field(default_factory=dict)
    """How many tests were skipped, by the reason."""
    natively: dict[str, str] = field(default_factory=dict)
    """What a native CPython showed of a test that fails, by the test's id."""


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


def compare(absent: str, settings: Sequence[Outcomes]) -> ModuleRun:
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
    ran = {name: tests for name, tests in sorted(found.modules.items()) if not tests.absent}
    absent = [[f"`{name}`", _plain(tests.absent)] for name, tests in sorted(found.modules.items()) if tests.absent]
    kinds = Counter(
        kind_of(test, message) or tests.natively.get(test, UNCLASSIFIED)
        for tests in ran.values()
        for test, (word, message) in tests.otherwise.items()
        if word == "failed"
    )
    skips: Counter[str] = Counter()
    for tests in ran.values():
        skips.update(tests.skipped)
    worst = [
        [f"`{test}`", word, _plain(message)]
        for tests in ran.values()
        for test, (word, message) in tests.otherwise.items()
        if word != "failed"
    ]
    otherwise = [
        [f"`{test}`", *map(_plain, outcomes), explained(test)]
        for tests in ran.values()
        for test, outcomes in tests.different.items()
    ]
    return [
        f"The last run was on {found.date}, on {found.processor}: {found.suite}, on CPython {found.runtime}.\n",
        f"Modules of tests that ran: {len(ran)}. Modules that are not in a filter: {len(absent)}."
        f" Modules that have not run yet: {found.left}.\n",
        "### Why tests fail\n",
        _table(["why", "tests"], [[kind, str(count)] for kind, count in _in_order(kinds)]),
        "### What CPython changed later\n",
        "Each change is in the NEWS of the release beside it.\n",
        _table(["change, release", "tests"], [[change, str(count)] for change, count in _changes(ran)]),
        "### Why tests are skipped\n",
        _table(["the test's own words", "tests"], _most(skips)),
        "### What was left out, ended the VM, or had no end\n",
        _table(["test", "what", ""], worst) if worst else "No test.\n",
        "### What differs between the settings\n",
        _table(["test", *found.settings, "why"], otherwise) if otherwise else "Nothing.\n",
        "### By module\n",
        _by_module(ran),
        "### What is not in a filter\n",
        _table(["module of tests", "why"], absent) if absent else "No module.\n",
    ]


def _changes(ran: Mapping[str, ModuleRun]) -> list[tuple[str, int]]:
    changes = Counter(change for tests in ran.values() for test in tests.otherwise if (change := change_of(test)))
    return sorted(changes.items())


def _by_module(ran: Mapping[str, ModuleRun]) -> str:
    total: Counter[str] = Counter()
    rows = []
    for name, tests in ran.items():
        total.update(tests.compiled)
        rows.append([f"`{name}`", *_counts(tests.compiled), str(len(tests.different))])
    different = sum(len(tests.different) for tests in ran.values())
    head = ["module of tests", "passed", "failed", "skipped", "left out, or no end", "different"]
    return _table(head, [["all", *_counts(total), str(different)], *rows])


def _counts(tests: Mapping[str, int]) -> list[str]:
    ended = sum(tests.get(word, 0) for word in ("left out", "ended the VM", "did not end"))
    return [*(f"{tests.get(word, 0):,}" for word in ("passed", "failed", "skipped")), str(ended)]


def _most(skips: Counter[str]) -> list[list[str]]:
    rows = [[_plain(reason) or "(no reason)", f"{count:,}"] for reason, count in skips.most_common(_REASONS)]
    rest = sum(skips.values()) - sum(count for _, count in skips.most_common(_REASONS))
    return [*rows, ["others", f"{rest:,}"]] if rest else rows


def _in_order(kinds: Mapping[str, int]) -> list[tuple[str, int]]:
    order = [*KINDS, LATER, LIBRARY, COLUMNS, ALSO, UNCLASSIFIED]
    return sorted(kinds.items(), key=lambda item: order.index(item[0]))
