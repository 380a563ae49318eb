"""The SDK under a proxy that answers anything and calls in any order: the contract that tests/fuzz states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import header_map, host_calls
from tests.fuzz.hostile_host import Choices

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        # What the filter wants to read, as an answer that is OK.
        st.sampled_from([b"standalone", b"10.0.0.1:80", b"[::1]:80"]).map(lambda text: bytes([0, len(text)]) + text),
    ),
    max_size=40,
)


@given(PIECES.map(b"".join))
def test_nothing_leaves_a_callback_and_no_context_stays(data: bytes) -> None:
    host_calls.check(data)


@given(st.binary())
def test_a_header_map_is_pairs_or_a_value_error(data: bytes) -> None:
    header_map.check(data)


def test_choices_end_in_zeros() -> None:
    choices = Choices(b"\x02\x03abcd")
    assert choices.pick(["x", "y", "z"]) == "z"
    assert choices.text() == b"abc"
    assert choices.left
    assert (choices.byte(), choices.left) == (ord("d"), False)
    assert (choices.byte(), choices.text(), choices.pick([7, 8])) == (0, b"", 7)
