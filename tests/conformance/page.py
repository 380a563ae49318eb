"""Makes `docs/conformance.md`, the page that shows what others' tests came to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from tests.conformance.kinds import REASONS, explained, reason_of, why_endless
from tests.conformance.later import change_of
from tests.conformance.record import CPython, ModuleRun, Record, Specification, unexplained

UNCLASSIFIED = "unknown"
_REASONS = 30
"""So many reasons for skipping are shown, the most frequent ones."""
_WORDS = 60
"""So many characters of a reason for skipping are shown beside a module."""
_TOGETHER = 4
"""From so many modules on, those of a package are shown as a number."""

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

The tests are those that CPython's own runner loads. It has no tests of networks, of much memory or of long computations here, as where
nobody asks for them. Each test has a bounded time, and its VM a bounded memory.

The directory is CPython's own `Lib`. Or it is what Debian's `libpython3.14-testsuite` and `libpython3.14-stdlib` have in
`usr/lib/python3.14/test`, put together, as `tools/cpython-tests` brings them. With `--resume` those modules run that ran on an earlier
runtime or never, the small ones first.
"""


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


def unclassified(found: CPython) -> list[str]:
    """Returns the tests and modules of tests of which nobody knows why they fail."""
    tests = [
        test
        for module in found.modules.values()
        for test, (word, message) in module.otherwise.items()
        if _reason(test, word, message) == UNCLASSIFIED
    ]
    return tests + [name for name, module in found.modules.items() if _absence(name, module.absent) == UNCLASSIFIED]


def _reason(test: str, word: str, message: str) -> str:
    """Returns why a test was left out, ended the VM or had no end, or that nobody knows why it fails."""
    if word == "left out":
        return message
    return reason_of(test, message) or why_endless(test, word) or UNCLASSIFIED


def _absence(name: str, why: str) -> str:
    """Returns why a module of tests is not in a filter, without what says the same in other words."""
    if missing := re.search(r"No module named '(\w+)'", why):
        return f"there is no module `{missing[1]}`"
    word, _, rest = why.partition(": ")
    if word == "failed":
        reason = reason_of(name, rest)
        return REASONS[reason] if reason else UNCLASSIFIED
    return f"the test's own words: {_plain(rest)}" if word == "skipped" else _plain(why)


def _of_cpython(found: CPython) -> list[str]:
    ran = {name: tests for name, tests in sorted(found.modules.items()) if not tests.absent}
    absent = {name: tests.absent for name, tests in sorted(found.modules.items()) if tests.absent}
    reasons: Counter[str] = Counter()
    for tests in ran.values():
        reasons.update(_failures(tests))
    skips: Counter[str] = Counter()
    for tests in ran.values():
        skips.update(tests.skipped)
    worst = [
        [f"`{test}`", word, _worst(test, word, message)]
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
        _runtimes(ran),
        *_alone(ran),
        "### Why tests fail\n",
        _table(
            ["why", "tests", ""], [[name, f"{reasons[name]:,}", REASONS.get(name, "")] for name in _in_order(reasons)]
        ),
        "### By module\n",
        _by_module(ran),
        "### What is not in a filter\n",
        _not_there(absent) if absent else "No module.\n",
        "### Why tests are skipped\n",
        _table(["the test's own words", "tests"], _most(skips)),
        "### What CPython changed later\n",
        "Each change is in the NEWS of the release beside it.\n",
        _table(["change, release", "tests"], [[change, str(count)] for change, count in _changes(ran)]),
        "### What was left out, ended the VM, or had no end\n",
        _table(["test", "what", "why"], worst) if worst else "No test.\n",
        "### What differs between the settings\n",
        _table(["test", *found.settings, "why"], otherwise) if otherwise else "Nothing.\n",
    ]


def _failures(tests: ModuleRun) -> Counter[str]:
    """Returns how many tests failed for each reason."""
    counts = Counter({reason: len(failed) for reason, failed in tests.failed.items()})
    counts.update({UNCLASSIFIED: unknown} if (unknown := len(unexplained(tests))) else {})
    return counts


def _worst(test: str, word: str, message: str) -> str:
    """Returns why a test was left out, ended the VM or had no end."""
    reason = _reason(test, word, message)
    change = change_of(test)
    parts = [_plain(message), f"{REASONS['later']}: {change}" if change else REASONS.get(reason, reason)]
    return "; ".join(dict.fromkeys(part for part in parts if part))


def _runtimes(ran: Mapping[str, ModuleRun]) -> str:
    on = Counter(tests.on for tests in ran.values())
    known = [f"{count} on `{digest}…`" for digest, count in sorted(on.items()) if digest]
    earlier = [f"{on['']} on earlier ones"] if on[""] else []
    return f"On which `runtime.wasm` they ran, by its SHA-256: {', '.join(known + earlier)}.\n"


def _alone(ran: Mapping[str, ModuleRun]) -> Iterable[str]:
    """Yields which modules ran in one setting alone."""
    settings: dict[str, list[str]] = {}
    for name, tests in ran.items():
        if tests.alone:
            settings.setdefault(tests.alone, []).append(f"`{name}`")
    for setting, names in settings.items():
        yield f"Modules that ran {setting} alone, since the time for the run was over: {', '.join(names)}.\n"


def _changes(ran: Mapping[str, ModuleRun]) -> list[tuple[str, int]]:
    tests = [
        test
        for name, module in ran.items()
        for test in (*module.otherwise, *(f"{name}.{test}" for test in module.failed.get("later", [])))
    ]
    return sorted(Counter(change for test in tests if (change := change_of(test))).items())


def _by_module(ran: Mapping[str, ModuleRun]) -> str:
    total: Counter[str] = Counter()
    rows = []
    for name, tests in ran.items():
        total.update(tests.compiled)
        reasons = _failures(tests)
        why = ", ".join(f"{reason} {reasons[reason]}" for reason in _in_order(reasons))
        rows.append([f"`{name}`", *_counts(tests.compiled), str(len(tests.different)), why, _mostly(tests.skipped)])
    different = sum(len(tests.different) for tests in ran.values())
    head = ["module of tests", "passed", "failed", "skipped", "left out, or no end", "different", "why they fail"]
    return _table([*head, "why they are skipped, mostly"], [["all", *_counts(total), str(different), "", ""], *rows])


def _mostly(skipped: Mapping[str, int]) -> str:
    """Returns the reason for which most tests of a module are skipped, and of how many reasons it is one."""
    if not skipped:
        return ""
    reason = max(skipped, key=lambda reason: skipped[reason])
    short = _plain(reason) if len(reason) <= _WORDS else _plain(reason[:_WORDS]) + "…"
    others = len(skipped) - 1
    return f"{short} {skipped[reason]}" + (f", and {others} other reason{'s' if others > 1 else ''}" if others else "")


def _not_there(absent: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name, why in absent.items():
        groups.setdefault(_absence(name, why), []).append(name.removeprefix("test."))
    rows = [[why, str(len(names)), _together(names)] for why, names in groups.items()]
    return _table(["why", "modules", "which"], sorted(rows, key=lambda row: (-int(row[1]), row[0])))


def _together(names: Iterable[str]) -> str:
    """Returns names of modules in a row, those of a package that has many as a number."""
    packages: dict[str, list[str]] = {}
    for name in names:
        packages.setdefault(name.partition(".")[0], []).append(name)
    return ", ".join(
        f"`{package}` ({len(within)})" if len(within) >= _TOGETHER else ", ".join(f"`{name}`" for name in within)
        for package, within in packages.items()
    )


def _counts(tests: Mapping[str, int]) -> list[str]:
    ended = sum(tests.get(word, 0) for word in ("left out", "ended the VM", "did not end"))
    return [*(f"{tests.get(word, 0):,}" for word in ("passed", "failed", "skipped")), str(ended)]


def _most(skips: Counter[str]) -> list[list[str]]:
    rows = [[_plain(reason) or "(no reason)", f"{count:,}"] for reason, count in skips.most_common(_REASONS)]
    rest = sum(skips.values()) - sum(count for _, count in skips.most_common(_REASONS))
    return [*rows, ["others", f"{rest:,}"]] if rest else rows


def _in_order(reasons: Iterable[str]) -> list[str]:
    return sorted(reasons, key=[*REASONS, UNCLASSIFIED].index)
