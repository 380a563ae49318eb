"""What the tests came to with each version of Envoy, and the page that shows it: `docs/versions.md`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

RECORD, PAGE = Path("docs/versions.json"), Path("docs/versions.md")

_MESSAGE = 200
_HEAD = """\
# Versions of Envoy

<!-- Generated from versions.json by `./bazelw run //tests/versions`: do not edit. -->

The same modules and the same tests ran with each of these versions of Envoy, from pinned wheels. A cell has how many tests passed.
"""
_DIFFERENT = """\
## What differs

What a test says that fails with a version is what that version does otherwise.
"""
_ALIKE = "No test failed with any of them.\n"


@dataclass
class Cell:
    """What the tests of one row came to: how many passed, and the message of each that failed, by its name."""

    passed: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        total = self.passed + len(self.failed)
        return f"{self.passed}" if not self.failed else f"**{self.passed} of {total}**"


@dataclass
class Record:
    """The last run: when and on what, and for each version a cell for each row, or why nothing ran."""

    date: str
    processor: str
    rows: dict[str, str]
    """What each row is about: a sentence, by the row's name."""
    versions: dict[str, dict[str, Cell]] = field(default_factory=dict)
    unusable: dict[str, str] = field(default_factory=dict)
    """The versions that load no module, and what they say."""


def message_of(text: str) -> str:
    """Returns the line of a failure that says most: what Envoy refuses, or else what was asserted."""
    lines = re.findall(r"^E +(\S.*)", text, re.MULTILINE) or [text]
    refusals = [line for line in lines if "[critical]" in line or "no such field" in line]
    said = (refusals or lines)[-1 if refusals else 0]
    if field := re.search(r"no such field: *('\w+')", said):
        return f"no such field: {field[1]}"
    # Where a machine keeps its files is nobody's business.
    said = re.sub(r"/[\w.-]+/\S*", "…", re.sub(r"^(\[[^]]*\] ?)+", "", said))
    return " ".join(said.replace("|", "/").replace("`", "'").split())[:_MESSAGE]


def write(record: Record) -> str:
    """Returns the record as JSON."""
    return json.dumps(asdict(record), indent=1) + "\n"


def read(text: str) -> Record:
    """Reads what `write` wrote."""
    data = json.loads(text)
    versions = data.pop("versions")
    made = Record(**data)
    made.versions = {version: {row: Cell(**cell) for row, cell in cells.items()} for version, cells in versions.items()}
    return made


def missing(record: Record) -> list[str]:
    """Returns the rows that a version has no test of."""
    return [
        f"{version}: {row}"
        for version, cells in record.versions.items()
        for row in record.rows
        if not cells.get(row, Cell()).passed and not cells.get(row, Cell()).failed
    ]


def page(record: Record) -> str:
    """Returns the page in Markdown."""
    head = ["", *record.versions]
    lines = [head, ["---"] + ["---:"] * len(record.versions)]
    for row, says in record.rows.items():
        lines.append([says, *(str(cells.get(row, "not run")) for cells in record.versions.values())])
    parts = [_HEAD, f"The last run was on {record.date}, on {record.processor}.\n", _markdown(lines)]
    parts += [f"Envoy {version} loads no module: it says `{why}`.\n" for version, why in record.unusable.items()]
    different = _different(record.versions, record.rows)
    return "\n".join([*parts, f"{_DIFFERENT}\n{different}" if different else _ALIKE])


def _markdown(lines: list[list[str]]) -> str:
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _different(versions: Mapping[str, Mapping[str, Cell]], rows: Mapping[str, str]) -> str:
    """Returns a table of what is seen in a row with some versions and not with others."""
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for version, cells in versions.items():
        for row in rows:
            for test, message in cells.get(row, Cell()).failed.items():
                found.setdefault((row, message), {}).setdefault(version, []).append(test)
    if not found:
        return ""
    lines = [["row", "with", "tests", "what is seen"], ["---"] * 4]
    for (row, message), failing in found.items():
        tests = sorted(set().union(*failing.values()))
        named = f"`{tests[0]}`" if len(tests) == 1 else f"{len(tests)}"
        lines.append([rows[row], ", ".join(failing), named, f"`{message}`"])
    return _markdown(lines)
