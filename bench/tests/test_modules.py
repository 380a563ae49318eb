"""The hand-written modules are what the comparison takes them for, held against the built filter on wasmtime."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from bench.measure.instructions import count
from bench.variants import EMPTY, FLOOR, NAMED, PYTHON, RULES, Variant
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.wasm import WasmModule
from toolchain.wasm import format as wasm

WARN, INFO = 3, 2
AT_MOST = {"new_connection: to get_property": 150, "sum": 2_950}
"""WebAssembly instructions of a connection. The first are more if the boundary looks the root's router up."""
SOURCES = ["127.22.0.10:42148", "127.22.0.11:1", "10.0.0.255:65535"]


class Recorder(Host):
    """A host that keeps the host calls and their arguments."""

    def __init__(self, log_level: int) -> None:
        super().__init__()
        self.log_level = log_level
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
        for name in dir(Host):
            if name.startswith("proxy_"):
                setattr(self, name, partial(self._record, name, getattr(self, name)))

    def _record(self, name: str, method: Any, *arguments: Any) -> Any:
        self.calls.append((name, arguments))
        return method(*arguments)


def code(module: Path | None) -> bytes:
    assert module
    return bytes(wasmtime.wat2wasm(module.read_text())) if module.suffix == ".wat" else module.read_bytes()


def calls_of_connections(variant: Variant, log_level: int, cache: Path) -> list[list[tuple[str, tuple[Any, ...]]]]:
    vm = WasmModule(code(variant.module), Recorder(log_level), cache=cache)
    assert isinstance(vm.host, Recorder)
    assert vm.start(configuration=json.dumps(variant.rules).encode() if variant.rules else b"standalone")
    made = []
    for source in SOURCES:
        vm.host.calls.clear()
        connection = vm.connection(source=source)
        connection.new_connection()
        connection.close()
        made.append([(name, arguments) for name, arguments in vm.host.calls])
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.mark.parametrize("log_level", [WARN, INFO])
def test_the_floor_makes_the_filters_host_calls(log_level: int, cache: Path) -> None:
    floor, python, rules = (calls_of_connections(variant, log_level, cache) for variant in (FLOOR, PYTHON, RULES))
    assert floor == python
    assert floor[:2] == rules[:2]  # the last source is in a rule's block, which looks at no parity
    assert all(len(calls) == (4 if log_level == INFO else 3) for calls in floor)


def test_a_name_is_one_call_more(cache: Path) -> None:
    floor, named = (calls_of_connections(variant, WARN, cache) for variant in (FLOOR, NAMED))
    for without, calls, name in zip(floor[:2], named, (b"rule254", b"rule255"), strict=False):
        assert calls == [without[0], ("proxy_set_property", (b"tcp_routing.rule", name)), *without[1:]]


def test_the_empty_module_makes_none(cache: Path) -> None:
    assert calls_of_connections(EMPTY, INFO, cache) == [[], [], []]


def test_all_export_the_same_callbacks() -> None:
    exported = [
        {export.name for export in wasm.Module(code(variant.module)).exports()} for variant in (EMPTY, FLOOR, PYTHON)
    ]
    assert exported[0] == exported[1] == exported[2]


def test_a_connection_takes_few_instructions(cache: Path) -> None:
    steps = count([PYTHON], cache)["python"]
    assert {step: steps[step] <= most for step, most in AT_MOST.items()} == dict.fromkeys(AT_MOST, True), steps
