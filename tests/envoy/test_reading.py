"""What the filter makes of a configuration, in each form in which Envoy's own reader of YAML hands it over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from envoy import configuration, process
from tests.envoy.conftest import MODULE, wait_for


def message(kind: str, value: str = "") -> str:
    """Returns, in YAML, a message of one of protobuf's own types."""
    return f'{{"@type": type.googleapis.com/google.protobuf.{kind}{", value: " * bool(value)}{value}}}'


def percentage(value: str) -> str:
    return message("Struct", f"{{rules: [{{match: {{source_percentage: {value}}}, action: {{cluster: a}}}}]}}")


PORTS = '{rules: [{match: {destination_ports: [80.0, "443", 0x51, 8e3]}, action: {reject: true}}]}'
TWICE = "{rules: [{name: first, action: {reject: true}}], rules: [{name: second, action: {cluster: a}}]}"
STANDALONE, ISTIO, RULE = '"standalone"', '"istio"', "1 rule, failing open"

# What stands behind `configuration:` in the YAML, and what the filter says to it.
TAKEN = {
    # Nothing means the same in every form.
    "none": ("", STANDALONE),
    "no_text": (message("StringValue"), STANDALONE),
    "empty_text": (message("StringValue", '""'), STANDALONE),
    "blank_text": (message("StringValue", '" \\n"'), STANDALONE),
    "empty_json": (message("StringValue", "'{}'"), STANDALONE),
    "empty_struct": (message("Struct", "{}"), STANDALONE),
    "no_struct": (message("Struct"), STANDALONE),
    "empty_bytes": (message("BytesValue", '""'), STANDALONE),
    "empty_json_as_bytes": (message("BytesValue", "e30="), STANDALONE),
    # The named ones.
    "text": (message("StringValue", "istio"), ISTIO),
    "bytes": (message("BytesValue", "aXN0aW8="), ISTIO),
    "preset": (message("Struct", "{preset: istio}"), ISTIO),
    "preset_json": (message("StringValue", """'{"preset": "istio"}'"""), ISTIO),
    # Decimals arrive as text.
    "decimal": (percentage("12.5"), RULE),
    "decimal_in_quotes": (percentage('"12.50"'), RULE),
    "exponent": (percentage("1.25e1"), RULE),
    "no_zero": (percentage(".125e2"), RULE),
    "plus": (percentage("+12.5"), RULE),
    "ports": (message("Struct", PORTS), RULE),
    # Of two fields of one name Envoy's reader drops the first, before the filter sees it.
    "twice": (message("Struct", TWICE), "1 rule (second), failing open"),
}

NUMBER = "a google.protobuf.BoolValue, Int64Value, Duration or Value"
OTHER_TYPES = {
    "value": (message("Value", "standalone"), "a google.protobuf.Value"),
    "list": (message("ListValue", "[standalone]"), "a google.protobuf.ListValue"),
    "bool": (message("BoolValue", "true"), NUMBER),
    "integer": (message("Int64Value", "7"), NUMBER),
    "duration": (message("Duration", "1.5s"), NUMBER),
    "double": (message("DoubleValue", "1.5"), "a google.protobuf.DoubleValue or FloatValue"),
    "typed_struct": (
        '{"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: x.com/y.Z, value: {rules: []}}',
        "a google.protobuf.Any or an xds.type.v3.TypedStruct",
    ),
}
REFUSED = {
    name: (text, f"the configuration is {kind}; it must come as a google.protobuf.StringValue, BytesValue or Struct")
    for name, (text, kind) in OTHER_TYPES.items()
} | {
    "yaml_as_text": (
        message("StringValue", '"rules:\\n- name: a"'),
        'the configuration is \'rules:\\n- name: a\'; it must be "standalone" (or nothing), "istio", or rules as in '
        "tcp_routing.proto",
    ),
    "slip": (
        message("StringValue", """'{"rules": [1,]}'"""),
        'the configuration is not valid JSON at line 1, column 13: the "," before "]" is one too many',
    ),
    "open": (
        message("StringValue", """'{"rules": [{"name": "a"}'"""),
        'the configuration is not valid JSON at line 1, column 25: expected "," or "]", not the end; '
        'the "[" at line 1, column 11 is not closed',
    ),
    "json_twice": (
        message("StringValue", """'{"rules": [], "rules": []}'"""),
        "the configuration is not valid JSON at line 1, column 15: 'rules' is given twice, first at line 1, column 2",
    ),
    "digits": (
        message("StringValue", """'{"rules": """ + "9" * 5000 + "}'"),
        "the configuration is not valid JSON at line 1, column 11: the number has 5000 digits, which is too many",
    ),
    "nan": (percentage(".nan"), "rules[0].match.source_percentage: must be a number, not '.nan'"),
    "octal": (percentage("01.5"), "rules[0].match.source_percentage: must be a number, not '01.5'"),
    "per_cent": (percentage("10%"), "rules[0].match.source_percentage: must be a number, not '10%'"),
}


@pytest.fixture(scope="module")
def envoy(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Envoy]:
    """An Envoy that reads a listener for each configuration from YAML; what it refuses one for is no other's matter."""
    work = tmp_path_factory.mktemp("envoy")
    made = configuration.for_loopback(MODULE, ports, work / "access.log")
    lines = ["version_info: '1'", "resources:"]
    for name, (text, _) in (TAKEN | REFUSED).items():
        added = configuration.add_listener(made, name)
        added["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener"
        plugin = configuration.plugin(made, name)
        plugin |= {"name": name, "root_id": name, "configuration": "CONFIGURATION"}
        if not text:
            del plugin["configuration"]
        lines.append(f"- {json.dumps(added)}".replace('"CONFIGURATION"', text))
    (work / "listeners.yaml").write_text("\n".join(lines))
    made["static_resources"]["listeners"] = []
    made["node"] = {"id": "test", "cluster": "test"}
    made["dynamic_resources"] = {"lds_config": {"path_config_source": {"path": str(work / "listeners.yaml")}}}
    with process.run(made, work) as envoy:
        assert wait_for(lambda: envoy.counter("listener_manager.lds.update_rejected") == 1, 60)
        envoy.read_listeners()
        yield envoy


def said(envoy: process.Envoy, name: str) -> set[str]:
    """Returns what the filter said to a listener's configuration, in whichever VM."""
    text = rf" log {name} vm.envoy_tcp_routing: \[TCP WASM\] (.*)"
    return {found[1] for line in envoy.log_lines(name) if (found := re.search(text, line))}


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken(envoy: process.Envoy, name: str) -> None:
    assert said(envoy, name) == {f"Configuration: {TAKEN[name][1]}"}
    assert name in envoy.listeners


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(envoy: process.Envoy, name: str) -> None:
    assert said(envoy, name) == {f"Refused: {REFUSED[name][1]}"}
    assert name not in envoy.listeners
