"""A configuration that comes as a message of another type is refused by that type's name, and the types that are taken are named."""

from __future__ import annotations

import json

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.wrappers_pb2 import BoolValue, DoubleValue, FloatValue, Int64Value, UInt32Value
from hypothesis import given
from hypothesis import strategies as st

from filter.configuration import read_configuration
from filter.message_types import guess, is_text
from filter.readers import ConfigurationError

STRUCT = Struct()
STRUCT.update({"rules": [{"match": {"source_percentage": 1.5}}], "default_action": None})
NUMBERS = "a google.protobuf.BoolValue, Int64Value, Duration or Value"


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (Value(string_value="standalone"), "a google.protobuf.Value"),
        (Value(number_value=1), "a google.protobuf.Value"),
        (Value(bool_value=True), "a google.protobuf.Value"),
        (Value(struct_value=STRUCT), "a google.protobuf.Value"),
        (Value(list_value=ListValue(values=[Value(string_value="standalone")])), "a google.protobuf.Value"),
        (Value(null_value=NULL_VALUE), NUMBERS),
        (ListValue(values=[Value(string_value="standalone")]), "a google.protobuf.ListValue"),
        (ListValue(values=[Value(struct_value=STRUCT)]), "a google.protobuf.ListValue"),
        (BoolValue(value=True), NUMBERS),
        (Int64Value(value=1 << 62), NUMBERS),
        (Duration(seconds=3, nanos=500), NUMBERS),
        (UInt32Value(value=8080), NUMBERS),
        (Timestamp(seconds=1 << 33), NUMBERS),
        (DoubleValue(value=2.5), "a google.protobuf.DoubleValue or FloatValue"),
        (FloatValue(value=2.5), "a google.protobuf.DoubleValue or FloatValue"),
        # An xds.type.v3.TypedStruct has the same fields: a type's name, then a message.
        (
            AnyMessage(type_url="type.googleapis.com/x.Y", value=STRUCT.SerializeToString()),
            "a google.protobuf.Any or an xds.type.v3.TypedStruct",
        ),
        (FieldMask(paths=["rules"]), "neither text in UTF-8 nor a message that is read"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_message_of_another_type_is_named(message: Message, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_configuration(message.SerializeToString())
    assert (
        str(caught.value)
        == f"the configuration is {name}; it must come as a google.protobuf.StringValue, BytesValue or Struct"
    )


@pytest.mark.parametrize("text", ["standalone", '{"rules": []}', " [1]", "rules:\n\t- name: \u00e9\r\n", "*", "2"])
def test_text_is_no_message(text: str) -> None:
    assert is_text(text.encode())
    assert guess(text.encode()) == ""


def test_a_struct_is_no_other_message() -> None:
    assert guess(STRUCT.SerializeToString()) == ""
    assert guess(json.dumps({"a": "\x01"}).encode()) == ""


@given(st.binary() | st.binary().map(b"\n\x05\x12".__add__))
def test_whatever_the_bytes_it_is_said_what_they_may_be(data: bytes) -> None:
    assert guess(data).isprintable()
    assert bool(guess(data)) <= (not is_text(data))
