"""What rules cost a worker, in WebAssembly instructions: a number that is the same on every machine, however busy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from filter import values
from proxy_wasm.testing.wasm import WasmModule
from tests.policies import cases, shapes

MODULE = Path("filter/filter.wasm")
ERROR = 4
CONFIGURING = 340_000_000
"""For a configuration: V8 takes some 40 ms for so many, where the code is compiled, as the training has it."""
REFUSING = 1_400_000_000
"""For a text that is not JSON, in Envoy's main thread, where no connection waits. What finds a slip is interpreted."""
PACKED = 100_000
"""Blocks in a packed list."""
CONNECTING = 4_600
"""For a connection under the default rule."""
DECIDING = 20_500
"""For a connection under rules, however many there are."""
READING_PACKED = 430_000_000
"""For a configuration with it."""
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
    return {"text": json.dumps(policy, ensure_ascii=False).encode(), "struct": as_struct}


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


_NAMES = json.dumps([f"{place}.example" for place in range(16_000)])
_MOST = values.MAX_BYTES - 100
REFUSED = {
    "an escape at the end of a long string": '{"rules": "' + "a" * _MOST + '\\x"}',
    "a string that does not end": '{"rules": "' + "a" * _MOST,
    "a comma too many behind many names": '{"rules": [' + _NAMES + ", ]}",
    "no comma between many lists": '{"rules": [' + "[1], " * 45_000 + "[2] [3]]}",
    "no comma between many objects": '{"rules": [' + '{"a": {}}, ' * 22_000 + '{"b": 1} {}]}',
    "no colon behind many members": "{" + "".join([f'"{place}": {{}}, ' for place in range(17_000)]) + '"rules" []}',
    "a name twice among many": "{" + "".join([f'"{place}": {{}}, ' for place in range(17_000)]) + '"0": 1}',
    "brackets that are deep at last": '{"rules": [' + "[], " * 60_000 + "[" * 20 + "]}",
    "brackets that do not end": "[[" + "[" * _MOST,
    "NaN behind many numbers": '{"rules": [' + "1, " * 80_000 + "NaN]}",
    "a number that is too long": '{"rules": [' + "1, " * 40_000 + "9" * 100_000 + "]}",
    "spaces in front": " " * _MOST + "{,}",
    "spaces inside": '{"rules"' + " " * _MOST + "}",
    "lines in front": "\n" * _MOST + "{,}",
}
"""Texts that are not JSON, by their slips, each of which is at the end."""


@pytest.mark.parametrize("slip", REFUSED)
def test_refusing_has_a_bound(vm: WasmModule, slip: str, record_property: Callable[[str, object], None]) -> None:
    before = vm.instructions
    assert not vm.configure(b"\n" + REFUSED[slip].encode())
    ran = vm.instructions - before
    record_property(slip, f"{ran / 1e6:.0f} million instructions")
    assert re.search(r"at line \d+, column \d+", vm.host.lines()[-1]), vm.host.lines()[-1]
    assert ran < REFUSING


def test_spaces_before_rules_cost_little(vm: WasmModule) -> None:
    rules = b'{"default_action": {"reject": true}}'
    configuring(vm, rules)  # which lets go of the policy before
    assert configuring(vm, b" " * _MOST + rules) < configuring(vm, rules) + 1000 * _MOST


@pytest.mark.parametrize("shape", ["256 rules of one block", "256 rules of one port", "one rule of 8,190 blocks"])
def test_a_decision_costs_no_more_with_more_rules(
    vm: WasmModule, shape: str, record_property: Callable[[str, object], None]
) -> None:
    def best() -> int:
        return min([connecting(vm, f"10.77.0.{place}:4711") for place in range(1, 50)])

    configuring(vm, b"standalone")
    default = best()
    configuring(vm, forms(shapes.SHAPES[shape])["text"])
    record_property(shape, f"{best():,} instructions, {default:,} under the default rule")
    assert default < CONNECTING
    assert best() < DECIDING


@pytest.mark.parametrize("form", ["text", "struct"])
def test_a_packed_list_is_quick_to_read(
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
    assert ran < READING_PACKED
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
