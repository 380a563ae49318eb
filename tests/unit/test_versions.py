"""docs/versions.md is what the last run's record makes: nobody has edited it, and no cell is empty."""

from __future__ import annotations

from command.inspecting import ENVOYS
from tests.versions.table import PAGE, RECORD, Cell, Record, message_of, missing, page, read, write

ROWS = {"routing": "it routes", "http": "requests"}


def test_the_page_is_made_of_the_record() -> None:
    record = read(RECORD.read_text())
    assert PAGE.read_text() == page(record)
    assert RECORD.read_text() == write(record)


def test_inspect_names_the_oldest_and_the_newest() -> None:
    versions = list(read(RECORD.read_text()).versions)
    assert (versions[0], versions[-1]) == ENVOYS


def test_every_cell_was_run() -> None:
    assert missing(read(RECORD.read_text())) == []


def test_the_newest_version_fails_nothing() -> None:
    record = read(RECORD.read_text())
    newest = list(record.versions)[-1]
    assert [row for row, cell in record.versions[newest].items() if cell.failed] == []


def test_what_differs_is_said_once_for_all_versions_that_differ() -> None:
    failed = {"1.36.4": Cell(2, {"test_it[a]": "gone"}), "1.37.0": Cell(2, {"test_it[a]": "gone"}), "1.40.0": Cell(3)}
    record = Record("2026-11-28", "A Processor", ROWS, {version: {"http": cell} for version, cell in failed.items()})
    made = page(record)
    assert "| requests | **2 of 3** | **2 of 3** | 3 |" in made
    assert "| requests | 1.36.4, 1.37.0 | `test_it[a]` | `gone` |" in made
    assert "| it routes | not run | not run | not run |" in made
    assert missing(record) == [f"{version}: routing" for version in failed]


def test_a_version_that_loads_no_module_says_why() -> None:
    record = Record("2026-11-28", "A Processor", ROWS, {}, {"1.38.3": "no V8"})
    assert "Envoy 1.38.3 loads no module: it says `no V8`." in page(record)
    assert read(write(record)) == record


def test_a_failure_is_told_by_the_line_that_says_most() -> None:
    refused = "E   Envoy ended with status 1:\nE   [2026-11-28][12][critical][main] near 1: no such field:  'x') has unknown fields"
    assert message_of(refused) == "no such field: 'x'"
    assert message_of("E   [a][critical] cannot read /a/b/c.json") == "cannot read …"
    assert message_of("E       assert 'a|b' == `c`\nE       more") == "assert 'a/b' == 'c'"
    assert message_of("no lines") == "no lines"
