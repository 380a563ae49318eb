"""CPython with every function cold: a workout of the language and its library, and all that is asserted of the routing filter."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_wasm.testing.training import start
from tests.host.toolchain_case import INTERPRETER
from toolchain.tier.assemble import assemble
from toolchain.tier.translate import translate
from toolchain.wasm.format import Module

GUESTS = Path("tests/cold/guests")


def cold(module: bytes) -> bytes:
    # Not the runtime's translation: these modules have lost the imports that their filters cannot reach.
    translation = translate(Module(module))
    assert not translation.unknown
    return assemble(module, (), INTERPRETER.read_bytes(), translation).module


def lines(module: bytes) -> list[str]:
    vm = start(module)
    assert vm.start()
    return vm.host.lines()


def test_a_workout_says_the_same() -> None:
    module = (GUESTS / "workout.wasm").read_bytes()
    expected = lines(module)
    assert len(expected) == 17
    assert not [line for line in expected if "FAILED" in line]
    assert lines(cold(module)) == expected


class Instead:
    """A plugin of pytest's that has tests run with another module."""

    def __init__(self, module: Path) -> None:
        self.module = module

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        """Puts the module where the tests look for it."""
        for item in items:
            assert hasattr(item.module, "MODULE")
            item.module.MODULE = self.module


def test_the_routing_filters_own_tests_pass(tmp_path: Path) -> None:
    module = tmp_path / "cold.wasm"
    module.write_bytes(cold((GUESTS / "filter_untiered.wasm").read_bytes()))
    outcome = pytest.main(["-p", "no:cacheprovider", "tests/host/test_filter.py"], plugins=[Instead(module)])
    assert outcome == pytest.ExitCode.OK
