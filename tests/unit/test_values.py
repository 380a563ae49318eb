"""JSON text and serialized Structs read as Python's json and protobuf's own runtime read them, or raise ReadError."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from filter.values import MAX_BYTES, MAX_DEPTH, Object, ReadError, is_struct, read_number, read_object

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


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", "line 1, column 1", "expected a value, not the end"),
        ('{"a": 1} {', "line 1, column 10", "expected the end, not '{'"),
        ('{"a": }', "line 1, column 7", "expected a value, not '}'"),
        ('{"a": 1 "b": 2}', "line 1, column 9", 'expected "," or "}", not \'"\''),
        ('{"a": [1\n  2]}', "line 2, column 3", 'expected "," or "]", not \'2\''),
        ('{"a": 1,\n "b": [1,\n  2,\n ]}', "line 3, column 4", 'the "," before "]" is one too many'),
        ('{"a": 1,}', "line 1, column 8", 'the "," before "}" is one too many'),
        ("{,}", "line 1, column 2", "expected a name in double quotes, not ','"),
        ("{'a': 1}", "line 1, column 2", 'expected a name in double quotes, not "\'"; JSON has double quotes only'),
        ("{\"a\": 'b'}", "line 1, column 7", 'expected a value, not "\'"; JSON has double quotes only'),
        ("{a: 1}", "line 1, column 2", "expected a name in double quotes, not 'a'"),
        ('{"a" 1}', "line 1, column 6", "expected \":\", not '1'"),
        (
            '{"a": 1, // one\n "b": 2}',
            "line 1, column 10",
            "expected a name in double quotes, not '/'; JSON has no com",
        ),
        ('{"a": # one\n 1}', "line 1, column 7", "expected a value, not '#'; JSON has no comments"),
        (
            '{"a":\r\n [1, {"b": 2}\r\n',
            "line 3, column 1",
            'expected "," or "]", not the end; the "[" at line 2, column 2',
        ),
        ('{"a": [1, 2}', "line 1, column 12", 'expected "," or "]", not \'}\''),
        ("{", "line 1, column 2", 'expected a name in double quotes, not the end; the "{" at line 1, column 1 is not'),
        ('{"a', "line 1, column 2", "the string that begins here does not end"),
        ('{"a": "b\\', "line 1, column 7", "the string that begins here does not end"),
        ('{"a": "b\n"}', "line 1, column 9", "a string holds the control character '\\n'; write its escape"),
        ('{"a": "\x12"}', "line 1, column 8", "a string holds the control character '\\x12'; write its escape"),
        ('{"a": "\\x41"}', "line 1, column 8", "'\\\\x' is no escape of JSON"),
        ('{"a": "\\u12"}', "line 1, column 8", "'\\\\u12\"}' is no escape of JSON"),
        ('{"a": NaN}', "line 1, column 7", "expected a value, not 'NaN'"),
        ('{"a": [-Infinity]}', "line 1, column 8", "expected a value, not '-Infinity'"),
        ('{"a": True}', "line 1, column 7", "expected a value, not 'True'"),
        ('{"a": .5}', "line 1, column 7", "expected a value, not '.5'"),
        ('{"a": +5}', "line 1, column 7", "expected a value, not '+5'"),
        ('{"a": 05}', "line 1, column 8", 'expected "," or "}", not \'5\''),
        ('{"a": 0x50}', "line 1, column 8", 'expected "," or "}", not \'x50\''),
        ('{"a": ' + "9" * 5000 + "}", "line 1, column 7", "the number has 5000 digits, which is too many"),
        ('{"a": -' + "9" * 5000 + "}", "line 1, column 7", "the number has 5000 digits, which is too many"),
        ('{"a": 1,\n "b": {"c": 2,\n "c": 3}}', "line 3, column 2", "'c' is given twice, first at line 2, column 8"),
        ('{"a": {"": 1, "": 1}, "a": 2}', "line 1, column 15", "'' is given twice, first at line 1, column 8"),
        ('{"\\u0061": 1, "a": 2}', "line 1, column 15", "'a' is given twice, first at line 1, column 2"),
        ('\ufeff{"a": 1}', "line 1, column 1", "there is a byte order mark; save the text without it"),
    ],
)
def test_a_slip_in_json_is_told_with_its_place(text: str, place: str, reason: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_object(text.encode())
    assert str(caught.value).startswith(f"is not valid JSON at {place}: {reason}")


@given(OBJECTS, st.integers(0, 1 << 16), st.sampled_from(["", "", ",", "]", "}", '"', "x", "1", "\n", " ", "\\"]))
def test_a_slip_is_where_pythons_json_finds_it(value: dict[str, Any], at: int, put: str) -> None:
    text = json.dumps(value, indent=1)
    at %= len(text)
    text = text[:at] + put + text[at + 1 :]
    try:
        plain(read_object(text.encode()))
    except ReadError as error:
        place = re.match(r"is not valid JSON at line (\d+), column (\d+): (.*)", str(error))
        assert place, error
        if "given twice" in place[3]:
            return
        with pytest.raises(json.JSONDecodeError) as caught:
            json.loads(text)
        # The two differ in whether a slip is the comma or what follows it, the string or its end, the escape or its digits.
        found = [*text.splitlines(keepends=True), ""]
        ours = sum(map(len, found[: int(place[1]) - 1])) + int(place[2]) - 1
        between = text[min(ours, caught.value.pos) : max(ours, caught.value.pos)]
        assert len(between.strip()) <= 6 or text[ours] == '"', (error, caught.value)
    else:
        json.loads(text)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[]", "is a JSON list, and must be an object"),
        (b'"a"', "is a JSON value, and must be an object"),
        (b'{"a": "\xc3\xa9\n\xff"}', "is not UTF-8 at line 2, column 1"),
        (b"{" + b" " * MAX_BYTES, f"has {MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read, packed lists not counted"),
        (b"\n\x05\x0a\x01a\x12", "is not a valid google.protobuf.Struct"),
        (b"\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x12", "is not a valid google.protobuf.Struct"),
        (b"\n\x07\x0a\x01\xff\x12\x02\x08\x00", "is not a valid google.protobuf.Struct"),
        (b"\n\x09\x0a\x01a\x12\x04\x20\x01\x20\x00", "is not a valid google.protobuf.Struct"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_object(data)
    assert str(caught.value) == reason


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,30})([.][0-9]{1,30})?([eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_a_number_as_text_is_the_number(text: str) -> None:
    assert read_number(text) == json.loads(text)


@given(st.text("+-0123456789.eExX_, infNaN\"'[]{}\u0665", max_size=8))
def test_no_other_text_is_a_number(text: str) -> None:
    number = read_number(text)
    # What JSON and the core schema of YAML call a number, but for a zero before other digits.
    written = re.fullmatch(r"[-+]?(0|[1-9][0-9]*|(?=[.][0-9]))([.][0-9]*)?([eE][-+]?[0-9]+)?", text, re.ASCII)
    assert number == (float(text) if written else None)


def test_nesting_has_a_limit_that_strings_do_not_count_for() -> None:
    for encode, place in ((lambda value: json.dumps(value).encode(), " at line 1, column 97"), (struct, "")):
        assert plain(read_object(encode(nested(MAX_DEPTH)))) == nested(MAX_DEPTH)
        for levels in (MAX_DEPTH + 1, 40):
            with pytest.raises(ReadError, match=f"^is nested deeper than {MAX_DEPTH} levels{place}$"):
                read_object(encode(nested(levels)))
    with pytest.raises(ReadError, match=r"levels at line 2, column 16$"):
        read_object(b'{"[[[\\"[[[":\n' + b"[" * 100)
    for text in ("[" * 1000, '"' + "[" * 1000, "\\" + '"' + "{" * 1000, "\\\\"):
        value = {text: [text]}
        assert plain(read_object(json.dumps(value).encode())) == value
    with pytest.raises(ReadError, match="deeper"):
        read_object(b'{"a\\\\": ' + b"[" * 100_000)
