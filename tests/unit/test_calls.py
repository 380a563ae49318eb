"""Which calls of a function connections make, as the counts at its branches tell: calls are numbered in their order."""

from __future__ import annotations

import pytest
import wasmtime

from toolchain.tier.calls import made, opened
from toolchain.tier.hints import Counts
from toolchain.tier.translation import Part
from toolchain.wasm.format import Module

BRANCHES = """
  (call $f)
  (if (local.get 0) (then (call $f)) (else (call $f)))
  (block $out (br_if $out (local.get 0)) (call $f))
  (call $f)
"""
LOOP = "(call $f) (loop $l (call $f) (br_if $l (local.get 0)) (call $f)) (call $f)"
ENDS = """
  (block (block (br_table 0 1 (local.get 0)) (call $f)) (call $f) (br 0) (call $f)) (call $f)
  (if (local.get 0) (then (call $f) (return) (call $f))) (call $f) (unreachable) (call $f)
"""


def body(code: str) -> bytes:
    module = bytes(wasmtime.wat2wasm(f"(module (func $f) (func (param i32) {code}))"))
    return Module(module).bodies()[1]


@pytest.mark.parametrize(
    ("code", "counts", "least", "found"),
    [
        (BRANCHES, (9, 9, 0, 0, 9), 1, {0, 1, 3, 4}),
        (BRANCHES, (9, 0, 9, 9, 0), 1, {0, 2, 4}),
        (BRANCHES, (9, 2, 7, 6, 3), 3, {0, 2, 3, 4}),
        (BRANCHES, (9, 2, 7, 6, 3), 8, {0, 4}),
        (BRANCHES, (0, 0, 0, 0, 0), 1, set()),
        (LOOP, (2, 98, 2), 2, {0, 1, 2, 3}),
        (LOOP, (2, 98, 0), 1, {0, 1}),
        (ENDS, (5, 5, 0), 1, {1, 3, 4}),
        (ENDS, (5, 2, 3), 3, {1, 3, 6}),
    ],
)
def test_a_call_was_made_as_often_as_its_place_was_come_to(
    code: str, counts: Counts, least: float, found: set[int]
) -> None:
    assert made(body(code), (), counts, least) == found


def test_calls_in_cold_parts_do_not_count() -> None:
    code = body("(call $f) (block (br_if 0 (local.get 0)) (call $f) (call $f)) (call $f)")
    # The `block` with its branch: two bytes, then two and two; behind them the part of two calls, up to the block's end.
    begin = code.index(b"\x10\x00\x10\x00\x0b")
    assert made(code, [Part(0, begin, begin + 4, 1)], (3, 2, 1), 1) == {0, 1}


def test_v8_may_put_functions_into_those_with_direct_calls_and_into_their_callees() -> None:
    code = body("(call $f) (block (br_if 0 (local.get 0)) (call $f))")
    large = code[:-1] + b"\x01" * 5000 + b"\x0b"
    bodies = {0: code, 1: code, 2: code, 3: large}
    assert opened(bodies, {}, {1: {0}, 2: set()}) == {0, 1}
    assert opened(bodies, {}, {2: set(), 3: {0}}) == set()
    # The call that is in a cold part has no number.
    assert opened(bodies, {1: [Part(0, 0, len(code) - 3, 0)]}, {1: set()}) == set()


def test_a_large_function_counts_without_its_cold_parts() -> None:
    large = body("(call $f)")[:-1] + b"\x01" * 5000 + b"\x0b"
    assert opened({0: body(""), 1: large}, {}, {1: {0}}) == set()
    assert opened({0: body(""), 1: large}, {1: [Part(0, 10, 4000, 0)]}, {1: {0}}) == {0, 1}
