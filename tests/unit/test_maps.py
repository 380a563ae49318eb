"""Header maps: what is written is read back, and what is damaged is a ValueError."""

from __future__ import annotations

import contextlib
import random

import pytest

from proxy_wasm._maps import parse, serialize
from proxy_wasm.testing.header_maps import parse_header_map, serialize_header_map

PAIRS = [(b":status", b"200"), (b"", b""), (b"x", b"a: b")]


def test_round_trip() -> None:
    for pairs in ([], PAIRS[:1], PAIRS):
        data = serialize(pairs)
        assert data == serialize_header_map(pairs)
        assert parse(data) == parse_header_map(data) == pairs


def test_the_bytes() -> None:
    assert serialize({"a": b"bc"}) == b"\1\0\0\0\1\0\0\0\2\0\0\0a\0bc\0"


def test_nothing_is_an_empty_map() -> None:
    assert parse(b"") == []


def test_cut_off() -> None:
    data = serialize(PAIRS)
    for size in range(1, len(data)):
        with pytest.raises(ValueError, match=r"cut off|zero byte"):
            parse(data[:size])


def test_noise() -> None:
    noise = random.Random(1)
    for _ in range(5000):
        data = bytes(noise.choice((0, 0, 0, 1, 2, 255)) for _ in range(noise.randrange(40)))
        with contextlib.suppress(ValueError):
            parse(data)


@pytest.mark.parametrize("wrong", ["a\r\nx-evil: 1", b"a\n", "\0"])
def test_a_line_does_not_end_in_a_header(wrong: str | bytes) -> None:
    for pair in ((wrong, "value"), ("name", wrong)):
        with pytest.raises(ValueError, match="line's end"):
            serialize([pair])
