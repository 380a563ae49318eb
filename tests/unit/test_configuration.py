"""What a configuration may look like, and that each form means the same."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given

from filter.configuration import read_configuration
from filter.readers import ConfigurationError
from filter.routing import ISTIO, STANDALONE
from tests.policies import cases
from tests.unit.configurations import dump, rule


def camel(value: Any) -> Any:
    """Returns a configuration with the names of its fields in lowerCamelCase."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if isinstance(value, dict):
        return {re.sub("_(.)", lambda found: found[1].upper(), name): camel(item) for name, item in value.items()}
    return value


def test_the_named_configurations() -> None:
    assert read_configuration(b"standalone") is STANDALONE
    assert read_configuration(b" istio\n") is ISTIO
    for preset, meant in (("standalone", STANDALONE), ("istio", ISTIO)):
        message = Struct()
        message.update({"preset": preset})
        for text in (message.SerializeToString(), json.dumps({"preset": preset}).encode()):
            assert read_configuration(text) is meant


@pytest.mark.parametrize("text", [b"", b"  ", b"\n", b"{}", b"{ \n}\n", b"\r\n {}", Struct().SerializeToString()])
def test_nothing_means_the_same_in_every_form(text: bytes) -> None:
    assert read_configuration(text) is STANDALONE


@pytest.mark.parametrize("text", ["12.5", "12.50", "1.25e1", "1250E-2", "+12.5", "125.e-1", ".125e2"])
def test_a_number_may_come_as_the_text_that_envoys_reader_of_yaml_makes_of_it(text: str) -> None:
    def read(percentage: object, port: object) -> object:
        match = rule(source_percentage=percentage, destination_ports=[1, port])
        return dump(read_configuration(json.dumps({"rules": [match]}).encode()))

    assert read(text, "8080.0") == read(text, "8080") == read(12.5, 8080)
    message = Struct()
    json_format.ParseDict({"rules": [rule(source_percentage=text, destination_ports=[1, "8080.0"])]}, message)
    assert dump(read_configuration(message.SerializeToString())) == read(12.5, 8080)


@given(cases.POLICIES)
def test_a_struct_is_the_same_as_json_text_and_camel_case_as_snake_case(policy: cases.Policy) -> None:
    def outcome(text: bytes) -> object:
        try:
            return dump(read_configuration(text))
        except ConfigurationError as error:
            return str(error)

    expected = outcome(json.dumps(policy).encode())
    message = Struct()
    json_format.ParseDict(policy, message)
    assert outcome(message.SerializeToString()) == expected
    assert outcome(json.dumps(camel(policy)).encode()) == expected
