"""What rules cost a worker, in WebAssembly instructions: a number that is the same on every machine, however busy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from proxy_wasm.testing.wasm import WasmModule
from tests.policies import cases, shapes

MODULE = Path("filter/filter.wasm")
ERROR = 4
CONFIGURING = 480_000_000
"""For a configuration: V8 takes less than 50 ms for so many, where the code is compiled, as the training has it."""
PACKED = 100_000
"""Blocks in a packed list."""
BYTES_PER_BLOCK = 110
"""What a block of it may make a VM's memory grow by: eight bytes stay, the rest are copies of the text while it is read."""


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> WasmModule:
    vm = WasmModule(MODULE, cache=tmp_path_factory.mktemp("compiled"), counted=True)
    vm.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
    vm.host.log_level = ERROR
    assert vm.start(b"", b"standalone")
    return vm


def forms(policy: cases.Policy) -> dict[str, bytes]:
    as_struct = json_format.ParseDict(policy, Struct()).SerializeToString()
    return {"text": json.dumps(policy).encode(), "struct": as_struct}


def configuring(vm: WasmModule, configuration: bytes) -> int:
    before = vm.instructions
    assert vm.configure(configuration), vm.host.lines()[-1:]
    return vm.instructions - before


def connecting(vm: WasmModule, source: str) -> int:
    connection = vm.connection({b"destination\0port": (443).to_bytes(8, "little")}, source)
    before = vm.instructions
    connection.new_connection()
    ran = vm.instructions - before
    connection.close()
    return ran


@pytest.mark.parametrize("form", ["text", "struct"])
@pytest.mark.parametrize("shape", shapes.SHAPES)
def test_configuring_has_a_bound(
    vm: WasmModule, shape: str, form: str, record_property: Callable[[str, object], None]
) -> None:
    ran = configuring(vm, forms(shapes.SHAPES[shape])[form])
    record_property(f"{shape}, {form}", f"{ran / 1e6:.0f} million instructions")
    assert ran < CONFIGURING


@pytest.mark.parametrize("shape", ["256 rules of one block", "256 rules of one port", "one rule of 18,000 blocks"])
def test_a_decision_costs_no_more_with_more_rules(
    vm: WasmModule, shape: str, record_property: Callable[[str, object], None]
) -> None:
    def best() -> int:
        return min([connecting(vm, f"10.77.0.{place}:4711") for place in range(1, 50)])

    configuring(vm, b"standalone")
    default = best()
    configuring(vm, forms(shapes.SHAPES[shape])["text"])
    record_property(shape, f"{best() / default:.2f} times the default rule")
    assert best() < 2 * default


@pytest.mark.parametrize("form", ["text", "struct"])
def test_a_packed_list_is_as_quick_to_read(
    form: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    vm = WasmModule(MODULE, cache=tmp_path, counted=True)
    vm.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
    vm.host.log_level = ERROR
    assert vm.start(b"", b"standalone")
    policy = shapes.packed(PACKED)
    before = vm.memory_pages
    ran = configuring(vm, forms(policy)[form])
    grown = (vm.memory_pages - before << 16) / PACKED
    record_property(f"{PACKED:,} blocks, {form}", f"{ran / 1e6:.0f} million instructions, {grown:.0f} bytes each")
    assert ran < CONFIGURING
    assert grown < BYTES_PER_BLOCK
    for source in ("1.0.0.1", "1.0.1.1", "1.0.2.2", "4.13.78.9", "4.13.79.9", "4.13.80.9", "255.0.0.1"):
        where = cases.Connection(f"{source}:1", 443, "")
        vm.host.foreign_calls.clear()
        connection = vm.connection({}, where.source)
        connection.new_connection()
        connection.close()
        cluster = (
            {"cluster": vm.host.foreign_calls[0][2][-2:].decode()} if vm.host.foreign_calls else {"continue": True}
        )
        assert cluster == cases.decide(policy, where)[1]
