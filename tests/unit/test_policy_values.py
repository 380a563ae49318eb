"""JSON text and serialized Structs read as Python's json and protobuf's own runtime read them, or raise ReadError."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from filter.values import MAX_BYTES, MAX_DEPTH, Object, ReadError, is_struct, read_object

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LEAVES = st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), TEXT)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=20
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=4)


def plain(value: Any) -> Any:
    if isinstance(value, Object):
        return {name: plain(item) for name, item in value}
    return [plain(item) for item in value] if isinstance(value, list) else value


def struct(value: dict[str, Any]) -> bytes:
    message = Struct()
    json_format.ParseDict(value, message)
    data: bytes = message.SerializeToString()
    return data


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_json_text_is_what_it_says(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    assert plain(read_object(b" \n" + text + b"\r\n\t")) == value


@given(OBJECTS)
def test_a_struct_is_what_it_says(value: dict[str, Any]) -> None:
    if value:
        data = struct(value)
        assert is_struct(data)
        assert plain(read_object(data)) == value


@given(OBJECTS)
def test_json_text_is_never_taken_for_a_struct(value: dict[str, Any]) -> None:
    assert not is_struct(b"\n" + json.dumps(value, ensure_ascii=False).encode())


@given(OBJECTS.filter(bool), st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=3))
def test_a_damaged_struct_is_refused_or_still_one(value: dict[str, Any], damage: list[tuple[int, int]]) -> None:
    data = bytearray(struct(value))
    for at, byte in damage:
        data[at % len(data)] = byte
    if not is_struct(bytes(data)):
        return
    try:
        read = read_object(bytes(data))
    except ReadError:
        return
    # What is read here, protobuf reads too, and to the same (but for a name that is there twice).
    message = Struct.FromString(bytes(data))
    if len({name for name, _ in read}) == len(read):
        assert set(plain(read)) == set(message.fields)


@given(
    st.binary() | st.text().map(str.encode) | st.text('{}[]",:0123456789eE.-+ntfalsru\\', max_size=40).map(str.encode)
)
def test_bytes_give_an_object_or_a_read_error(data: bytes) -> None:
    try:
        read = read_object(data)
    except ReadError:
        return
    assert isinstance(read, Object)
    if not is_struct(data):
        assert isinstance(json.loads(data), dict)


def test_a_name_is_kept_as_often_as_it_is_given() -> None:
    assert read_object(b'{"a": 1, "a": 2}') == (("a", 1), ("a", 2))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is not valid JSON near character 0"),
        (b"[]", "is JSON, but no object"),
        (b'"a"', "is JSON, but no object"),
        (b'{"a": 1} {', "is not valid JSON near character 8: more follows its end"),
        (b'{"a": }', "is not valid JSON near character 6"),
        (b'{"a": NaN}', "is not valid JSON"),
        (b'{"a": -Infinity}', "is not valid JSON"),
        (b'{"a": "\n"}', "is not valid JSON"),
        (b'{"a": "\xff"}', "is not valid JSON"),
        (b'{"a', "is not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is not valid JSON"),
        (b"{" + b" " * MAX_BYTES, f"has {MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read"),
        (b"\n\x05\x0a\x01a\x12", "is not a valid google.protobuf.Struct"),
        (b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x12", "is not a valid google.protobuf.Struct"),
        (b"\n\x07\x0a\x01\xff\x12\x02\x08\x00", "is not a valid google.protobuf.Struct"),
        (b"\n\x09\x0a\x01a\x12\x04\x20\x01\x20\x00", "is not a valid google.protobuf.Struct"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_object(data)
    assert str(caught.value).startswith(reason)


def test_nesting_has_a_limit_that_strings_do_not_count_for() -> None:
    for encode in (lambda value: json.dumps(value).encode(), struct):
        assert plain(read_object(encode(nested(MAX_DEPTH)))) == nested(MAX_DEPTH)
        for levels in (MAX_DEPTH + 1, 40):
            with pytest.raises(ReadError, match=f"^is nested deeper than {MAX_DEPTH} levels$"):
                read_object(encode(nested(levels)))
    for text in ("[" * 1000, '"' + "[" * 1000, "\\" + '"' + "{" * 1000, "\\\\"):
        value = {text: [text]}
        assert plain(read_object(json.dumps(value).encode())) == value
    with pytest.raises(ReadError, match="deeper"):
        read_object(b'{"a\\\\": ' + b"[" * 100_000)
