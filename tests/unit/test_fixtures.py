"""The pytest plugin in a new project: what its fixtures give to a test, and when they fail it."""

from __future__ import annotations

from pathlib import Path

import pytest

from command import new

pytest_plugins = "pytester"


def project(directory: Path, tests: str, greeting: str = 'print("hello,", source)') -> None:
    """Makes a new project, with a filter that greets in another way, and tests of its own."""
    new.make(directory, "tcp")
    plugin = directory / "plugin.py"
    text = plugin.read_text()
    assert text.count('print("hello,", source)') == 1
    plugin.write_text(text.replace('print("hello,", source)', greeting))
    (directory / "test_plugin.py").write_text(tests)


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "command.fixtures", "-p", "no:cacheprovider", *arguments)


RAISING = """
from proxy_wasm import Action


def test_forgotten(vm):
    assert vm.connection(source="10.0.0.1:4711").new_connection() == Action.CONTINUE
    vm.host.logs.clear()


def test_meant(vm):
    connections = [vm.connection(source="10.0.0.1:4711") for _ in range(2)]
    for connection in connections:
        assert connection.new_connection() == Action.CONTINUE
    failures = vm.take_failures()
    assert [failure.rpartition("): ")[2] for failure in failures] == ["KeyError: 1"] * 2
    assert "ZeroDivisionError: " in failures[0] and vm.take_failures() == []


def test_refused(vm):
    assert not vm.configure(b"?")


def test_wrong_for_another_reason(vm):
    vm.connection(source="10.0.0.1:4711").new_connection()
    assert False
"""


def test_a_test_in_which_a_callback_raises_says_so_or_fails(pytester: pytest.Pytester) -> None:
    project(pytester.path, RAISING, "try:\n            1 / 0\n        finally:\n            {}[1]")
    done = run(pytester)
    done.assert_outcomes(passed=2, failed=2)
    report = done.stdout.str()
    assert 'assert "KeyError" in vm.take_failures()[0]' in report
    assert report.count("\nproxy_on_new_connection (context 2): KeyError: 1\n") == 2, "each failure shows the traceback"


BESIDE = """
import plugin


def test_own(vm):
    vm.connection(source="10.0.0.1:4711").new_connection()
    assert vm.host.lines() == [plugin.GREETING + ", 10.0.0.1:4711"]
"""


def test_projects_with_files_of_the_same_names_are_tested_together(pytester: pytest.Pytester) -> None:
    for name in ("good day", "good night"):
        project(pytester.path / name.replace(" ", "-"), BESIDE, f'print("{name},", source)')
        with (pytester.path / name.replace(" ", "-") / "plugin.py").open("a") as plugin:
            plugin.write(f"\nGREETING = {name!r}\n")
    run(pytester).assert_outcomes(passed=2)


def test_what_is_missing_is_one_line(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("command.proxy.find_envoy", lambda: Path("envoy"))
    monkeypatch.setattr("proxy_wasm._dispatch.root_classes", {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    project(pytester.path, "def test_starts(vm): pass")
    text = (pytester.path / "plugin.py").read_text()
    (pytester.path / "plugin.py").write_text(text.replace("proxy_wasm.register(Plugin)", ""))
    for arguments, said in (
        ([], "plugin registers no context; end it with proxy_wasm.register(YourRootContext)"),
        (["--module", "nope.wasm"], "ERROR: --module: there is no file nope.wasm; `proxy-wasm build` makes"),
        (["--wasm", "--module", "{name}.wasm"], f"--module: there is no file {pytester.path}/"),
        (["--wasm", "--module", "plugin.py"], "plugin.py: wasmtime does not take the module: "),
        (["--envoy", "--module", "plugin.py", "-rs"], "SKIPPED [1] "),
    ):
        done = run(pytester, *arguments)
        shown = done.stdout.str() + done.stderr.str()
        assert said in shown and "Traceback" not in shown and "proxy_wasm/testing" not in shown
    assert 'there is no h2 here, with which tests speak to Envoy: `pip install "proxy-wasm[envoy]"`' in shown


@pytest.mark.parametrize(
    ("last", "said", "shown"),
    [
        ("import nothing_of_the_kind", "ModuleNotFoundError: No module named 'nothing_of_the_kind'", "line 39"),
        ("def broken(:", "SyntaxError: invalid syntax", "def broken(:"),
        ("proxy_wasm.register(Connection)", "TypeError: register() takes a subclass of RootContext, not ", "line 39"),
        ("raise SystemExit(3)", "SystemExit: 3", "line 39"),
    ],
)
def test_a_filter_that_cannot_be_imported_is_shown_by_its_own_lines(
    pytester: pytest.Pytester, last: str, said: str, shown: str
) -> None:
    project(pytester.path, "def test_it(vm): pass")
    with (pytester.path / "plugin.py").open("a") as plugin:
        plugin.write(f"{last}\n")
    done = run(pytester)
    done.assert_outcomes(errors=1)
    report = done.stdout.str()
    assert f"\nplugin cannot be imported: {said}" in report and shown in report
    assert not any(word in report for word in ("importlib", "_register.py", "During handling"))
