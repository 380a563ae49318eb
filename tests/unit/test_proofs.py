"""docs/proofs.md is what the table of proofs and the record make: nobody has edited it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proofs.__main__ import keep
from proofs.record import PAGE, PROOFS, RECORD, Proof, Run, page, read_proofs, read_runs, write_runs

PROOF = Proof("slow", "It holds.", "true")
RUN = Run("2026-11-28", "abc1234", "A Processor", 75, passed=True)


def test_the_page_is_made_of_the_record() -> None:
    proofs, runs = read_proofs(PROOFS.read_text()), read_runs(RECORD.read_text())
    assert PAGE.read_text() == page(proofs, runs)
    assert set(runs) <= set(proofs)
    assert RECORD.read_text() == write_runs(runs)


def test_no_proof_failed_when_it_was_last_run() -> None:
    assert [name for name, run in read_runs(RECORD.read_text()).items() if not run.passed] == []


def test_a_run_is_a_sentence() -> None:
    assert page({"slow": PROOF}, {"slow": RUN}).endswith(
        "## slow\n\nIt holds.\n\n    true\n\nPassed on 2026-11-28 at abc1234, in 75 s, on A Processor.\n"
    )


def test_what_failed_and_what_never_ran_says_so() -> None:
    failed = Run("2026-11-28", "abc1234+", "A Processor", 75, passed=False)
    assert "**Failed** on" in page({"slow": PROOF}, {"slow": failed})
    assert "No run is recorded." in page({"slow": PROOF}, {})


def test_a_record_is_read_as_it_was_written() -> None:
    assert read_runs(write_runs({"slow": RUN})) == {"slow": RUN}


def test_proofs_that_run_at_a_time_are_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    RECORD.parent.mkdir()
    keep("slow", RUN)
    keep("slower", RUN)
    assert read_runs(RECORD.read_text()) == {"slow": RUN, "slower": RUN}


def test_a_row_without_a_command_is_refused() -> None:
    with pytest.raises(KeyError, match="command"):
        read_proofs('[slow]\nsays = "It holds."\n')


def test_names_fit_a_command_line() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in read_proofs(PROOFS.read_text()))
