"""docs/conformance.md is what the last runs' record makes: nobody has edited it, and every failure has a reason."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path
from types import ModuleType

from tests.conformance import natively
from tests.conformance.kinds import ENDLESS, PATTERNS, REASONS, is_explained, reason_of
from tests.conformance.later import CHANGES
from tests.conformance.loading import load
from tests.conformance.page import UNCLASSIFIED, page, unclassified
from tests.conformance.record import (
    PAGE,
    RECORD,
    CPython,
    ModuleRun,
    Outcome,
    Record,
    Specification,
    compare,
    explain,
    is_new,
    read,
    remember,
    unexplained,
    write,
)
from tests.conformance.regression import TOGETHER, TOGETHER_BYTES, divided, every, names, read_outcomes

ASKED = """
import unittest

import sample


class T(unittest.TestCase):
    def test_library(self):
        self.assertEqual(sample.VALUE, 2)

    def test_columns(self):
        self.assertTrue(any(column for _, _, column, _ in compile("a + b", "", "eval").co_positions()))

    def test_fails(self):
        self.fail()

    def test_passes(self):
        pass
"""
LOADED = """
import unittest


class Base(unittest.TestCase):
    def test_base(self):
        pass


class Real(Base):
    pass


def load_tests(loader, tests, pattern):
    if FAILS:
        raise FileNotFoundError("ieee754.txt")
    suite = unittest.TestSuite([loader.loadTestsFromTestCase(Real)])
    suite.addTests(loader.discover("/gone"))
    return suite
"""
PASSED, SKIPPED, FAILED = Outcome("passed"), Outcome("skipped", "no files"), Outcome("failed", "KeyError: 1")


def test_the_page_is_made_of_the_record() -> None:
    record = read(RECORD.read_text())
    assert PAGE.read_text() == page(record)
    assert RECORD.read_text() == write(record)


def test_cold_code_does_what_compiled_code_does() -> None:
    record = read(RECORD.read_text())
    assert record.specification and record.cpython
    assert record.specification.different == []
    assert [test for run in record.cpython.modules.values() for test in run.different if not is_explained(test)] == []


def test_every_failure_has_a_reason() -> None:
    record = read(RECORD.read_text())
    assert record.cpython
    assert unclassified(record.cpython) == []


def test_every_pattern_is_one_and_can_be_found() -> None:
    assert all(re.compile(pattern) for pattern in (*PATTERNS.values(), *CHANGES, *ENDLESS))
    assert PATTERNS.keys() <= REASONS.keys()
    assert reason_of("test.test_io.T.test_x", "FileNotFoundError: no such file") == "files"
    assert reason_of("test.test_none.T.test_x", "Strange: nobody knows") is None
    assert reason_of("test.test_ipaddress.IpaddrUnitTest.testHosts", "not an iterator") == "later"


def test_what_differs_is_told_with_all_outcomes() -> None:
    compiled = {"a": PASSED, "b": FAILED, "c": SKIPPED, "d": Outcome("ended the VM", "unreachable")}
    assert compare("test.test_a", "", [compiled, compiled, compiled]).different == {}
    made = compare("test.test_a", "", [compiled, {"a": FAILED, "b": FAILED, "c": SKIPPED, "e": PASSED}, compiled])
    assert made.compiled == {"ended the VM": 1, "failed": 1, "passed": 1, "skipped": 1}
    assert made.skipped == {"no files": 1}
    assert made.otherwise == {"b": ["failed", "KeyError: 1"], "d": ["ended the VM", "unreachable"]}
    assert made.different == {
        "a": ["passed: ", "failed: KeyError: 1", "passed: "],
        "d": ["ended the VM: unreachable", "did not run", "ended the VM: unreachable"],
        "e": ["did not run", "passed: ", "did not run"],
    }


def test_of_a_test_that_fails_for_a_known_reason_the_name_is_kept() -> None:
    odd, known = Outcome("failed", "Strange: nobody knows"), Outcome("failed", "FileNotFoundError: x")
    run = compare(
        "test.test_a", "", [{"test.test_a.T.test_b": known, "test.test_c.T.test_d": known, "e": odd, "f": odd}]
    )
    assert run.failed == {"files": ["T.test_b", "test.test_c.T.test_d"]}
    assert unexplained(run) == [("e", odd.message), ("f", odd.message)]
    explain("test.test_a", run, {"e": "library"})
    assert run.failed["library"] == ["e"]
    assert run.otherwise == {"f": ["failed", odd.message]}


def test_what_a_native_python_said_is_known_when_the_test_runs_again() -> None:
    before = ModuleRun(failed={"library": ["T.test_b"], "columns": ["T.test_passes_now"]})
    again = {f"test.test_a.T.test_{name}": Outcome("failed", "Strange") for name in "bc"}
    run = compare("test.test_a", "", [again])
    remember("test.test_a", run, before)
    assert run.failed == {"library": ["T.test_b"]}
    assert unexplained(run) == [("test.test_a.T.test_c", "Strange")]


def test_what_ran_on_an_earlier_runtime_is_not_new() -> None:
    runs = [ModuleRun(on="abc"), ModuleRun(on="def"), ModuleRun(), ModuleRun(absent="skipped: no sockets")]
    assert [is_new(run, "abc") for run in runs] == [True, False, False, True]


def test_where_cpython_was_built_is_in_no_record() -> None:
    said = "'prefix': '/home/a/b-c/builddir/wasi/install', at /python/os.py"
    found, _ = read_outcomes([["begins", "t"], ["ended", "t", "failed", said]])
    assert found["t"].message == "'prefix': '…/builddir/wasi/install', at /python/os.py"
    assert not re.search(r"/\w+/builddir", RECORD.read_text() + PAGE.read_text())


def test_a_record_is_read_as_it_was_written() -> None:
    otherwise = {"t.B": ["failed", "odd"], "t.C": ["left out", "so"]}
    modules = {
        "test.test_a": ModuleRun(
            {"passed": 2, "failed": 2, "left out": 1},
            failed={"files": ["t.A"]},
            otherwise=otherwise,
            different={"t.A": ["x", "y"]},
            skipped={"no": 3},
        ),
        "test.test_b": ModuleRun(absent="skipped: no sockets"),
        "test.test_c.test_d": ModuleRun(absent="skipped: No module named '_d'"),
        "test.test_e": ModuleRun(absent="failed: KeyError: nobody knows"),
    }
    record = Record(
        Specification("a suite", "2026-11-28", "A Processor", 3, ["gc"], {"all cold": {"scripts": 3}}, {"too new": 2}),
        CPython("a suite", "3.14.0", "2026-11-28", "A Processor", modules, ["compiled", "cold"]),
    )
    assert read(write(record)) == record
    made = page(record)
    assert "Of 4 scripts, `wast2json` reads 3." in made
    assert "| too new | 2 |" in made
    assert "Nothing is otherwise cold." in made
    assert f"| files | 1 | {REASONS['files']} |\n| {UNCLASSIFIED} | 1 |  |" in made
    assert "| `test.test_a` | 2 | 2 | 0 | 1 | 1 | files 1, unknown 1 | no 3 |" in made
    assert "| test | compiled | cold | why |\n| --- | ---: | ---: | ---: |\n| `t.A` | x | y | not explained |" in made
    assert "| no | 3 |" in made
    assert "| `t.C` | left out | so |" in made
    assert "| the test's own words: no sockets | 1 | `test_b` |" in made
    assert "| there is no module `_d` | 1 | `test_c.test_d` |" in made
    assert record.cpython
    assert unclassified(record.cpython) == ["t.B", "test.test_e"]


def test_a_module_of_tests_is_a_line_of_the_record() -> None:
    modules = {"test.test_b": ModuleRun({"passed": 1}), "test.test_a": ModuleRun(absent="so")}
    made = write(Record(cpython=CPython("s", "3.14.0", "2026-11-28", "p", modules)))
    assert '"test.test_a": {"absent":"so"},\n"test.test_b": {"compiled":{"passed":1}}\n' in made


def test_the_page_tells_which_modules_ran_in_one_setting_alone() -> None:
    modules = {"test.test_a": ModuleRun({"passed": 1}, alone="cold"), "test.test_b": ModuleRun({"passed": 1})}
    made = page(Record(cpython=CPython("s", "3.14.0", "2026-11-28", "p", modules, ["cold"])))
    assert "Modules that ran cold alone, since the time for the run was over: `test.test_a`.\n" in made
    assert "ran  alone" not in made


def test_a_lot_has_few_modules_or_little_source() -> None:
    sizes = {"large": TOGETHER_BYTES + 1, "half": TOGETHER_BYTES // 2, **{f"m{n}": 1 for n in range(TOGETHER)}}
    assert divided(sizes) == [[f"m{n}" for n in range(TOGETHER)], ["half"], ["large"]]


def test_a_native_python_tells_what_the_library_and_columns_explain(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "sample.py").write_text("VALUE = 2\n")
    (tmp_path / "test/__init__.py").touch()
    (tmp_path / "test/support.py").touch()
    (tmp_path / "test/test_a.py").write_text(ASKED)
    with zipfile.ZipFile(tmp_path / "stdlib.zip", "w") as standard:
        standard.writestr("sample.py", "VALUE = 1\n")
    tests = [f"test.test_a.T.test_{name}" for name in ("library", "columns", "fails", "passes", "is_nowhere")]
    found = natively.ask(Path(sys.executable), tmp_path, tmp_path / "stdlib.zip", tests)
    reasons = [natively.LIBRARY, natively.COLUMNS, natively.ALSO]
    assert found == dict(zip(tests, reasons, strict=False))


def test_modules_of_tests_are_found(tmp_path: Path) -> None:
    for name in (
        "test_a.py",
        "test_b/test_c.py",
        "test_b/__init__.py",
        "test_b/d/__init__.py",
        "test_b/d/teste.py",
        "test_b/data/test_no_test.py",
        "test_b/helper.py",
        "data.py",
        "datetimetester.py",
    ):
        (tmp_path / "test" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "test" / name).touch()
    (tmp_path / "test/test_b/__init__.py").write_text("class T(TestCase): ...")
    assert every(tmp_path) == ["datetimetester", "test_a", "test_b"]
    found = ["test.test_a", "test.test_b", "test.test_b.d.teste", "test.test_b.test_c"]
    assert list(names(tmp_path, ["test_a", "test_b", "test_gone"])) == found


def loaded(fails: bool) -> dict[str, list[str]]:
    module = ModuleType("sample")
    module.__dict__["FAILS"] = fails
    exec(LOADED, module.__dict__)
    return {cls: [test.id() for test in tests] for cls, tests in load(module).items()}


def test_tests_are_those_that_the_module_itself_loads() -> None:
    assert loaded(fails=False) == {"Real": ["sample.Real.test_base"]}
    everything = loaded(fails=True)
    assert everything.pop("unittest.loader._FailedTest") == ["sample.load_tests"]
    assert everything == {"Base": ["sample.Base.test_base"], "Real": ["sample.Real.test_base"]}
