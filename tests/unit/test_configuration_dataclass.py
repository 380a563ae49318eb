"""proxy_wasm.configuration: a dataclass is made of JSON, or a sentence names what does not fit."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
from typing import Any, Literal

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from proxy_wasm.configuration import ConfigurationError, read


class Mode(enum.Enum):
    OPEN = "open"
    CLOSED = "closed"


@dataclasses.dataclass
class Rule:
    cluster: str
    ports: list[int] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.cluster:
            raise ValueError("a cluster has a name")


@dataclasses.dataclass(frozen=True)
class Settings:
    rules: list[Rule]
    limit: int | None = None
    share: float = 0.5
    mode: Mode = Mode.OPEN
    level: Literal["low", 5] = "low"
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    pair: tuple[str, ...] = ()
    anything: Any = None
    either: int | str = 1
    quiet: bool = False
    derived: int = dataclasses.field(default=0, init=False)


def test_each_type_is_read() -> None:
    values: dict[str, Any] = {
        "rules": [{"cluster": "a", "ports": [1, 2]}, {"cluster": "b"}],
        "limit": 5,
        "share": 1,
        "mode": "closed",
        "level": 5,
        "labels": {"a": "b"},
        "pair": ["a", "b"],
        "anything": {"x": [None]},
        "either": "text",
        "quiet": True,
    }
    rules = [Rule("a", [1, 2]), Rule("b")]
    anything = {"x": [None]}
    expected = Settings(rules, 5, 1.0, Mode.CLOSED, 5, {"a": "b"}, ("a", "b"), anything, "text", True)
    found = read(Settings, json.dumps(values).encode())
    assert found == expected and type(found.share) is float
    assert read(Settings, b'{"rules": [], "limit": null}') == Settings([])


@pytest.mark.parametrize("text", [False, True])
def test_a_struct_is_read_as_its_text_is(text: bool) -> None:
    values: dict[str, Any] = {
        "rules": [{"cluster": "ü", "ports": [80, 443]}],
        "limit": None,
        "share": 0.25,
        "labels": {"": "", "a" * 200: "b"},
        "anything": [True, False, None, {}, [], -1, 1.5, 2**40, [[1]]],
    }
    made = (
        json_format.ParseDict(values, Struct()).SerializeToString() if not text else b"\n" + json.dumps(values).encode()
    )
    assert read(Settings, made) == Settings(
        [Rule("ü", [80, 443])], share=0.25, labels={"": "", "a" * 200: "b"}, anything=values["anything"]
    )


@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: b"\n" + text.encode()))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(ConfigurationError):
        read(Settings, data)


def test_no_bytes_are_the_defaults() -> None:
    @dataclasses.dataclass
    class Defaults:
        cluster: str = "a"

    assert read(Defaults, b"") == Defaults()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("[", r"not JSON: Expecting value at line 1, column 2"),
        ("\n{'a': 1}", r"not JSON: Expecting property name .* at line 2, column 2"),
        (b"\xff", "not UTF-8 at byte 0"),
        ("[" * 100_000, "not JSON: too deep"),
        ([], r"the configuration: expected an object, found \[\]"),
        ({}, "rules: missing"),
        ({"rules": {}}, "rules: expected a list, found {}"),
        ({"rules": ["a"]}, r'rules\[0\]: expected an object, found "a"'),
        ({"rules": [{}]}, r"rules\[0\]\.cluster: missing"),
        ({"rules": [{"cluster": 1}]}, r"rules\[0\]\.cluster: expected a text, found 1"),
        ({"rules": [{"cluster": ""}]}, r"rules\[0\]: a cluster has a name"),
        (
            {"rules": [{"cluster": "a", "ports": [80, "x"]}]},
            r'rules\[0\]\.ports\[1\]: expected a whole number, found "x"',
        ),
        ({"rules": [{"cluster": "a", "port": 1}]}, r"rules\[0\]\.port: unknown field; there are cluster, ports"),
        ({"rules": [], "limit": True}, "limit: expected a whole number, found true"),
        ({"rules": [], "limit": 1.5}, "limit: expected a whole number, found 1.5"),
        ({"rules": [], "share": "1"}, 'share: expected a number, found "1"'),
        ({"rules": [], "quiet": 1}, "quiet: expected true or false, found 1"),
        ({"rules": [], "mode": "ajar"}, "mode: expected one of 'open', 'closed', found \"ajar\""),
        ({"rules": [], "level": "high"}, "level: expected one of 'low', 5, found \"high\""),
        ({"rules": [], "labels": {"a": 1}}, "labels.a: expected a text, found 1"),
        ({"rules": [], "labels": []}, r"labels: expected an object, found \[\]"),
        ({"rules": [], "either": []}, r"either: expected a text, found \[\]"),
        ({"rules": [], "derived": 1}, "derived: unknown field"),
        ({"rules": [], "quiet": "x" * 100}, 'quiet: expected true or false, found "x{59}\\.\\.\\.$'),
    ],
)
def test_a_refusal_names_the_field(wrong: Any, message: str) -> None:
    text = wrong if isinstance(wrong, str | bytes) else json.dumps(wrong)
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        read(Settings, text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"rules": [{"cluster": "a", "cluster": "b"}]}', "cluster: given twice"),
        ('{"rules": [], "anything": {"x": [1, {"y": 1, "y": 1}]}}', "y: given twice"),
        ('{"rules": [], "share": NaN}', "share: expected a finite number, found NaN"),
        ('{"rules": [], "share": 1e999}', "share: expected a finite number, found Infinity"),
        ('{"rules": [], "anything": {"x": [-Infinity]}}', "anything.x[0]: expected a finite number, found -Infinity"),
    ],
)
def test_what_readers_of_json_take_differently_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(Settings, text.encode())
    assert str(refused.value) == message


def test_a_number_of_a_struct_is_finite_too() -> None:
    struct = Struct()
    struct["rules"] = []
    struct["share"] = float("nan")
    with pytest.raises(ConfigurationError, match="share: expected a finite number, found NaN"):
        read(Settings, struct.SerializeToString())


def test_a_field_of_another_type_is_the_authors_mistake() -> None:
    odd = dataclasses.make_dataclass("Odd", [("field", bytes)])
    with pytest.raises(TypeError, match="field: <class 'bytes'> is no type of a configuration"):
        read(odd, b'{"field": "x"}')
