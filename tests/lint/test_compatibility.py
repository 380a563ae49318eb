"""docs/compatibility.md is what its table and the records make, and each cell says who saw it or why nobody did."""

from __future__ import annotations

import pytest

from proofs.compatibility import COMPATIBILITY_PAGE, TABLE, Row, Section, faults, in_ci, page, read_facts, read_table
from proofs.record import RECORD, Run, read_runs

RUN = Run("2026-11-28", "abc1234", "A Processor", 75, passed=True)


def section(*rows: Row) -> list[Section]:
    return [Section("Things", list(rows))]


def test_the_page_is_made_of_the_table_and_the_records() -> None:
    made = page(read_table(TABLE.read_text(), read_facts()), read_runs(RECORD.read_text()))
    assert COMPATIBILITY_PAGE.read_text() == made, "run python3 -m proofs"


def test_each_cell_was_run_or_says_why_not() -> None:
    assert list(faults(read_table(TABLE.read_text(), read_facts()), read_runs(RECORD.read_text()))) == []


def test_a_row_has_who_saw_it() -> None:
    rows = section(
        Row("a", "it works", ci=["//tests/lint:lint"], proofs=["slow"]),
        Row("b", not_run="Nobody has one."),
    )
    assert (
        "| a | it works | CI each time: `//tests/lint:lint`<br>[slow](proofs.md#slow), which passed on 2026-11-28 at abc1234 |"
        in page(rows, {"slow": RUN})
    )
    assert "| b | not run: Nobody has one. | nobody |" in page(rows, {"slow": RUN})
    assert list(faults(rows, {"slow": RUN})) == []


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        (Row("a"), ["a: say what was seen, or why it was not run"]),
        (Row("a", "it works"), ["a: what was seen is said by what CI runs, or by a proof"]),
        (Row("a", "it works", proofs=["gone"]), ["a: gone has no passed run"]),
        (Row("a", "it works", proofs=["failed"]), ["a: failed has no passed run"]),
        (Row("a", "it works", ci=["//tests/lint:gone"]), ["a: CI does not run //tests/lint:gone"]),
    ],
)
def test_a_row_that_nobody_vouches_for_is_a_fault(row: Row, wrong: list[str]) -> None:
    failed = Run("2026-11-28", "abc1234", "A Processor", 75, passed=False)
    assert list(faults(section(row), {"failed": failed})) == wrong


def test_what_ci_runs_is_there_and_a_test() -> None:
    assert all(
        map(in_ci, ["//...", "//tests/mesh/...", "//tests/mesh:mesh", "//tests/wheel:author", "tools/nix-check"])
    )
    assert not any(
        map(in_ci, ["//tests/gone/...", "//tests/mesh", "//tests/mesh:scale", "//wheel:wheel", "tools/bazel7"])
    )


def test_a_name_that_no_record_has_is_refused() -> None:
    with pytest.raises(KeyError, match="gone"):
        read_table('[[section]]\ntitle = "{gone}"\nrows = []\n', {})
