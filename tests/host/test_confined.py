"""Builders never run a filter's code outside of Wasm: what its import tries reaches nothing of the machine that builds it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from proxy_wasm.testing.wasm import WasmModule
from tests.host import toolchain_case as case
from toolchain.recipe.filter import build_filter

# Each way out is tried by itself: that one fails must not keep the next from being tried.
PLUGIN = """
import os
import sys

import proxy_wasm

FOUND = [sys.platform, os.environ.get("MARKER_DIRECTORY")]


def attempt(way):
    try:
        FOUND.append(way())
    except Exception as error:
        FOUND.append(type(error).__name__)


def by_open():
    with open(MARKER, "w") as file:
        return file.write("here")


MARKER = "@MARKER@"
attempt(by_open)
attempt(lambda: os.mkdir(MARKER))
attempt(lambda: os.system(f"touch {MARKER}"))
attempt(lambda: __import__("subprocess").run(["touch", MARKER]))
attempt(lambda: __import__("socket").create_connection(("127.0.0.1", 9)))
attempt(lambda: os.listdir("/"))
print("printed by the filter's import")


class Root(proxy_wasm.RootContext):
    def on_vm_start(self, configuration):
        print(FOUND)
        return True

    def on_tick(self):
        attempt(by_open)
        print(FOUND[-1])


proxy_wasm.register(Root)
"""
WAYS = 6


def test_an_import_reaches_nothing_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "marker"
    monkeypatch.setenv("MARKER_DIRECTORY", str(tmp_path))
    # By a name that nothing else has: then, was it imported here?
    case.write(tmp_path / "source", {"confined_plugin.py": PLUGIN.replace("@MARKER@", str(marker))})
    built = build_filter(case.inputs(tmp_path / "source", "confined_plugin"))
    assert not marker.exists()
    assert "confined_plugin" not in sys.modules
    # Its text is shown to whoever builds, and that is all.
    assert "printed by the filter's import" in "".join(capfd.readouterr())

    vm = WasmModule(built.module)
    assert vm.start()
    [line] = vm.host.lines()
    platform, variable, *ways = ast.literal_eval(line)
    assert (platform, variable) == ("wasi", None) and len(ways) == WAYS
    assert all(isinstance(way, str) and way.endswith("Error") for way in ways), ways
    vm.tick()
    assert vm.host.lines()[-1].endswith("Error")
    assert not marker.exists()


def test_the_marker_would_be_seen(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    source = PLUGIN.replace("@MARKER@", str(marker)).partition("attempt(lambda: os.mkdir")[0]
    exec(source.replace("import proxy_wasm\n", ""), {"__name__": "natively"})
    assert marker.read_text() == "here"
