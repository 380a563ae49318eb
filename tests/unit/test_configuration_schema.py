"""What is a policy is what proto/tcp_routing.proto says: protobuf's own reader and this one take the same."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filter.configuration import read_configuration
from filter.policy import FIELDS, Policy
from filter.readers import ConfigurationError
from tests.policies import cases
from tests.unit.configurations import dump, refusal

PATH = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
PROTO = "proto/tcp_routing.proto"


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The message TcpRouting, as protoc and protobuf's own runtime have it."""
    directory = tmp_path_factory.mktemp("schema")
    command = [
        sys.executable,
        "-S",
        "-B",
        "-m",
        "grpc_tools.protoc",
        "--proto_path=.",
        f"--python_out={directory}",
        PROTO,
    ]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": PATH}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    spec = importlib.util.spec_from_file_location("tcp_routing_pb2", directory / "proto" / "tcp_routing_pb2.py")
    assert spec and spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TcpRouting


def documented() -> list[dict[str, Any]]:
    text = Path("filter/README.md").read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


@pytest.mark.parametrize("example", documented(), ids=lambda example: str(next(iter(example))))
def test_the_documented_examples(schema: Any, example: dict[str, Any]) -> None:
    # A whole configuration, the policy in it, or one rule.
    value = example.get("configuration", {"value": example})["value"]
    policy = value if "rules" in value or "default_action" in value else {"rules": [value]}
    assert isinstance(read_configuration(json.dumps(policy).encode()), Policy)
    json_format.ParseDict(policy, schema())


def test_every_field_of_a_match_has_an_example() -> None:
    shown = [rule["match"] for rule in documented() if "match" in rule]
    shown += [rule.get("match", {}) for example in documented() for rule in example.get("rules", [])]
    assert set(FIELDS) - {field for match in shown for field in match} == set()


def test_every_field_of_the_schema_is_read_and_no_other(schema: Any) -> None:
    def listed(value: object) -> list[str]:
        return refusal(value).partition("there are ")[2].split(", ")

    message = schema.DESCRIPTOR
    rule = message.fields_by_name["rules"].message_type
    for descriptor, value in (
        (message, {"x": 1}),
        (rule, {"rules": [{"x": 1}]}),
        (rule.fields_by_name["match"].message_type, {"rules": [{"match": {"x": 1}}]}),
        (rule.fields_by_name["action"].message_type, {"rules": [{"action": {"x": 1}}]}),
    ):
        assert listed(value) == [field.name for field in descriptor.fields]
    assert (
        refusal({"failure_mode": "x"})
        .partition("must be ")[2]
        .startswith(" or ".join(value.name for value in message.enum_types_by_name["FailureMode"].values))
    )


ODDITIES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 70_000),
    st.floats(),
    st.sampled_from(["", "80", "EVEN", "10.0.0.0/8", "*.a", "{port}", "é", "\x00", "FAIL_OPEN", "a" * 600]),
    st.lists(st.integers(0, 1), max_size=2),
    st.dictionaries(st.sampled_from(["rules", "cluster", "reject", "x"]), st.booleans(), max_size=1),
)


@st.composite
def odd_policies(draw: st.DrawFn) -> object:
    """Draws a policy in which something may have been replaced, added or renamed."""
    policy: Any = json.loads(json.dumps(draw(cases.POLICIES)))
    place, parents = policy, [policy]
    while isinstance(place, dict | list) and place and draw(st.integers(0, 3)):
        keys = list(place) if isinstance(place, dict) else range(len(place))
        parents.append(place)
        place = place[draw(st.sampled_from(keys))]
    parent = parents[-1]
    if isinstance(parent, dict):
        parent[draw(st.sampled_from([*parent, "reject", "source_cidrs", "sourceCidrs", "x"]))] = draw(ODDITIES)
    elif draw(st.booleans()):
        parent.append(draw(ODDITIES))
    else:
        parent[draw(st.integers(0, len(parent) - 1))] = draw(ODDITIES)
    return policy


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(policy=odd_policies())
def test_what_is_taken_protobuf_takes_too_and_as_the_same(schema: Any, policy: object) -> None:
    text = json.dumps(policy).encode()
    try:
        read = read_configuration(text)
    except ConfigurationError:
        refusal(text)
        return
    message = json_format.Parse(text, schema())
    again = json_format.MessageToJson(message, preserving_proto_field_name=True).encode()
    assert dump(read_configuration(again)) == dump(read)


@given(st.binary() | st.text().map(str.encode) | ODDITIES.map(json.dumps).map(str.encode))
def test_bytes_give_a_configuration_or_a_configuration_error(text: bytes) -> None:
    try:
        read_configuration(text)
    except ConfigurationError:
        refusal(text)
