"""The recipe: one way from sources to a filter, for Bazel, Nix and people, and what it says of inputs that are wrong."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from proxy_wasm.testing.wasm import WasmModule
from proxy_wasm.version import VERSION
from tests.host import toolchain_case as case
from toolchain import imports, producers
from toolchain.recipe import filter
from toolchain.recipe.files import RuntimeFiles
from toolchain.recipe.filter import (
    SNAPSHOT,
    TIER,
    FilterInputs,
    FilterOutputs,
    build_filter,
    freeze,
    tiered,
    tiered_quickly,
    write_filter,
)
from toolchain.recipe.options import add_options, taken
from toolchain.recipe.runtime import RuntimeInputs, build_runtime
from toolchain.snapshot import Snapshot
from toolchain.tier import build
from toolchain.tools import ToolchainError, silent

PLUGIN = """
import proxy_wasm

class Root(proxy_wasm.RootContext):
    def on_tick(self):
        import no_such_module

proxy_wasm.register(Root)
"""
TRAINING = """
import warnings

from proxy_wasm.testing.wasm import WasmModule

def train(module):
    vm = WasmModule(module)
    vm.start()
    warnings.warn("the training warns")
    yield vm.memory
"""


def inputs(directory: Path, **others: Any) -> FilterInputs:
    case.write(directory, {"plugin.py": PLUGIN, "trained_here.py": TRAINING})
    return dataclasses.replace(case.inputs(directory), **({"training": "trained_here"} | others))


def test_step_by_step_is_the_same_as_all_at_once(tmp_path: Path) -> None:
    given = inputs(tmp_path)
    at_once = build_filter(given)
    names = {field.name: tmp_path / "out" / field.name for field in dataclasses.fields(FilterOutputs)}
    outputs = FilterOutputs(**names)
    for step in (SNAPSHOT, TIER):
        write_filter(given, outputs, [step], silent)
    assert names["out"].read_bytes() == at_once.module
    assert names["snapshot"].read_bytes() == at_once.snapshot
    assert names["report"].read_text() == at_once.report
    made_of = producers.read(at_once.module)
    assert made_of["language"]["Python"].startswith("3.14.") and made_of["sdk"] == {"proxy_wasm": VERSION}


def test_a_memo_makes_the_same_bytes(tmp_path: Path) -> None:
    given, memo = inputs(tmp_path), dict[bytes, bytes]()
    first = build_filter(given, memo=memo)
    known = dict(memo)
    # With all answers known, nothing is asked any more.
    assert build_filter(given, memo=memo).module == first.module
    assert memo == known
    assert build_filter(given).module == first.module


def test_what_a_training_taught_makes_the_filter_of_another_source(tmp_path: Path) -> None:
    given = inputs(tmp_path)
    frozen = freeze(given)
    built = tiered(given, frozen)
    prepared = filter._prepared(given.runtime)
    again = build.untrained(frozen.module, prepared, built.learned, without=frozen.left_out)
    assert producers.copied(imports.drop(again, frozen.unreached), frozen.module) == built.module
    # How the snapshot's memory is cut does not matter.
    coarse = freeze(given, coarse=True).module
    assert build.untrained(coarse, prepared, built.learned, without=frozen.left_out) == again
    (tmp_path / "plugin.py").write_text(PLUGIN + "print('another source')\n")
    quick = tiered_quickly(given, freeze(given, coarse=True), built.learned)
    assert WasmModule(quick).start()


def test_what_the_snapshot_and_the_training_warned_of_begins_the_report(tmp_path: Path) -> None:
    built = build_filter(inputs(tmp_path))
    assert built.warnings[0] == "the training warns"
    assert "no_such_module" in built.warnings[1]
    assert built.report.startswith("".join(f"warning: {warning}\n" for warning in built.warnings))


def test_what_is_being_done_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    build_filter(inputs(tmp_path), said.append)
    assert said[:2] == ["freezing plugin", "training with trained_here"]


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"module": "plugin.py"}, r"plugin\.py is no module's name, .*; do you mean plugin\?"),
        ({"module": "filter/plugin.py"}, r"filter/plugin\.py is no module's name, .*; do you mean filter\.plugin\?"),
        ({"module": "plugn"}, r"there is no module plugn: .*; do you mean plugin\?"),
        ({"module": "filter.plugn"}, r"there is no module filter\.plugn: .*; do you mean filter\.plugin\?"),
        ({"root": (Path("nowhere"),)}, r"the root nowhere is not a directory"),
        ({"abi": Path("no.toml")}, r"cannot read no\.toml: No such file"),
        (
            {"runtime": Path("nowhere")},
            r"cannot read nowhere/runtime\.wasm: .*; `python -m toolchain runtime --out nowhere`",
        ),
    ],
)
def test_a_wrong_input_is_named(tmp_path: Path, others: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        freeze(inputs(tmp_path, **others))


@pytest.mark.parametrize("training", ["trained_her", "trained_here.deeper", ""])
def test_a_training_that_is_not_there_is_named(tmp_path: Path, training: str) -> None:
    given = inputs(tmp_path, training=training)
    with pytest.raises(ToolchainError, match=f"there is no module {training} to train with"):
        tiered(given, Snapshot(b"", [], []))


@pytest.mark.parametrize(("step", "missing"), [(SNAPSHOT, "snapshot"), (TIER, "out")])
def test_a_step_names_the_file_that_it_lacks(tmp_path: Path, step: str, missing: str) -> None:
    with pytest.raises(ToolchainError, match=f"--{missing} is missing; the step {step} needs it"):
        write_filter(inputs(tmp_path), FilterOutputs(), [step], silent)


def runtime_inputs(**others: Path) -> RuntimeInputs:
    given = {
        "boot": Path("boot"),
        "abi": case.TABLE,
        "zig": Path("zig"),
        "node": Path("node"),
        "node_modules": Path("npm"),
    }
    return RuntimeInputs(**(given | others))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("boot", r"boot has no boot\.wit; --boot is the directory toolchain/boot"),
        ("cpython", r"cannot read .*component\.wasm: No such file"),
        ("tier", r"cannot run .*zig/ziglang/zig: No such file"),
        ("compile", r"cannot read .*runtime\.wasm: No such file"),
    ],
)
def test_a_step_of_the_runtime_names_what_it_lacks(tmp_path: Path, step: str, message: str) -> None:
    with pytest.raises(ToolchainError, match=message):
        build_runtime(runtime_inputs(), tmp_path / "out", [step])


def test_bazels_runtime_is_a_directory_of_the_recipe() -> None:
    files = RuntimeFiles(case.FILES.directory)
    for path in (files.module, files.names, files.builtins, files.stdlib, files.interpreter, files.translation):
        assert path.is_file()
    assert files.compiled.is_file()


def test_inputs_are_a_command_line() -> None:
    parser = argparse.ArgumentParser()
    add_options(parser, FilterInputs)
    add_options(parser, FilterOutputs)
    line = "--runtime r --abi a --root one --root two --module m --out o --keep _csv"
    given = parser.parse_args(line.split())
    assert taken(FilterInputs, given) == FilterInputs(
        Path("r"), Path("a"), (Path("one"), Path("two")), "m", keep=("_csv",)
    )
    assert taken(FilterOutputs, given) == FilterOutputs(Path("o"))
    with pytest.raises(SystemExit):
        parser.parse_args([])
