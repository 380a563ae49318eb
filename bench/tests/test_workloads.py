"""The workloads: each gives its documented result on this Python and in the module, and the report compares the two."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bench.reporting import workloads as reporting
from bench.workloads import measure, suite
from bench.workloads.suite import WORKLOADS, Workload
from proxy_wasm.testing.wasm import WasmModule

NAMES = [workload.name for workload in WORKLOADS]
_INFO, _ERROR = 2, 4


@pytest.fixture(scope="module")
def vm() -> WasmModule:
    made = WasmModule(measure.HERE / "guest.wasm")
    assert made.start()
    return made


def test_there_are_twenty_and_each_says_what_it_does() -> None:
    assert len(set(NAMES)) == len(WORKLOADS) == 20
    assert len({workload.about for workload in WORKLOADS}) == 20 and all(workload.about for workload in WORKLOADS)


@pytest.mark.parametrize("number", range(len(WORKLOADS)), ids=NAMES)
def test_the_result_is_the_same_here_and_in_the_module(number: int, vm: WasmModule) -> None:
    # Twice, for one that changes what it was given would have another result.
    expected = suite.repeat(WORKLOADS[number], 2)
    vm.queue_ready(suite.ask(number, 2))
    before = len(vm.host.lines(_INFO))
    vm.queue_ready(suite.ask(number, 1))
    assert vm.host.lines(_INFO)[before:] == [ascii(expected)]
    assert not vm.host.lines(_ERROR)


def test_a_wrong_result_is_an_error() -> None:
    with pytest.raises(suite.WrongResult, match=r"bucket returned 99 and not 98"):
        suite.repeat(Workload(suite.bucket, WORKLOADS[NAMES.index("bucket")].given, 98), 3)


def test_a_number_says_which_and_how_often() -> None:
    assert suite.asked(suite.ask(19, suite.MOST_TIMES)) == (19, suite.MOST_TIMES)


@pytest.fixture(scope="module")
def measured() -> measure.Measured:
    # Any Python will do here: what is quoted is measured on the module's version.
    return measure.measure(Path(sys.executable), 2, (measure.DESKTOP, measure.MODULE), starts=1)


def test_every_workload_is_measured_on_every_side(measured: measure.Measured) -> None:
    assert measured.table.shape == (2, 20, 2) and measured.table.min() > 0
    assert [about[0] for about in measured.sides.values()] == ["CPython", "V8"]


def test_what_a_side_has_to_say_is_the_error() -> None:
    for name in (measure.DESKTOP, measure.MODULE):
        told = pytest.raises(measure.WorkloadError, match=rf"(?s){name}: .*IndexError")
        with measure._side(name, measure._command(name, Path(sys.executable))) as side, told:
            side.run(len(WORKLOADS), 1)


def test_a_side_that_does_not_start_is_an_error() -> None:
    with pytest.raises(measure.WorkloadError, match="x: it ended without a word"), measure._side("x", ["true"]):
        pass


@pytest.fixture
def made_up() -> measure.Measured:
    """The module takes twice as long for the first half of the workloads and eight times for the other; round by round more."""
    desktop = np.arange(1000.0, 1020.0)[:, None] * np.ones(20)
    module = desktop * np.array([2.0] * 10 + [8.0] * 10)
    sides = {"desktop": ["CPython", "3.14.1", "GCC"], "module": ["V8", "13", "Node"], "untiered": ["V8", "13", "Node"]}
    return measure.Measured(np.stack([desktop, module, module * 2], axis=2), sides)


def test_ratios_and_their_geometric_mean(made_up: measure.Measured) -> None:
    made = reporting.figures(made_up)
    assert made["workloads"][NAMES[0]]["ratios"]["module"] == pytest.approx([2, 2, 2])
    assert made["workloads"][NAMES[19]]["us"]["desktop"][0] == pytest.approx(1.0095)
    assert made["together"]["module"] == pytest.approx([4, 4, 4])
    assert made["together"]["untiered"] == pytest.approx([8, 8, 8])


def test_the_table_and_the_sentence_say_what_was_measured(made_up: measure.Measured) -> None:
    report = {"workloads": reporting.figures(made_up)}
    (table,) = reporting.tables(report)
    assert len(table.rows) == 21 and {len(row) for row in table.rows} == {len(table.head)}
    assert table.rows[-1] == ["geometric mean", "", "", "", "4.00 [4.00, 4.00]", "8.00 [8.00, 8.00]"]
    assert "4.00 [4.00, 4.00]" in table.as_text()
    (text,) = reporting.sentences(report)
    assert "4.00 [4.00, 4.00] times as long in the module as on a desktop's CPython 3.14.1 (GCC)" in text


def test_a_report_without_a_python_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(measure.NoPython, match=r"no program python3\.14: install CPython 3\.14") as caught:
        measure.find_python()
    report = {"workloads": {"error": str(caught.value)}}
    (table,) = reporting.tables(report)
    assert table.note.startswith("Not measured: there is no program python3.14") and not reporting.sentences(report)
    assert not reporting.tables({}) and not reporting.sentences({})


def test_another_python_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho Python 3.12.1\n")
    other.chmod(0o755)
    with pytest.raises(measure.NoPython, match=r"is Python 3\.12\.1, and the module's is Python 3\.14"):
        measure.find_python(str(other))
