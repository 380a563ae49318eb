"""The lists of all rules are read together, and mean what each means alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter import cidrs, sides
from filter.intervals import merged
from filter.matching import MATCH, settle
from filter.readers import ConfigurationError

_ports = st.integers(1, 60000)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "source_ports": st.one_of(
        _ports,
        _ports.map(float),
        _ports.map(str),
        _ports.map("{}.0".format),
        _ports.map("+{}".format),
        _ports.map("{}e0".format),
        st.sampled_from(["+080", ".5e3", "5.e2", "1e+2", "1e5", "+-5", "++5", "e5", "5e", "1-+5", "1e0-5"]),
        st.tuples(_ports, st.integers(0, 9)).map(lambda pair: f"{pair[0]}-{sum(pair)}"),
        st.sampled_from([0, 1.5, True, None, "1-", "-", "", "5-1", "010", "list:x"]),
    ),
    "source_cidrs": st.one_of(
        st.ip_addresses(v=4).map(str),
        st.ip_addresses(v=6).map(str),
        st.integers(0, 255).map("10.{}.0.0/16".format),
        st.integers(0, 255).map("2001:db8:{:x}::/48".format),
        st.sampled_from(
            ["list:a", "list:b", "10.0.0.1/8", "::ffff:10.0.0.1", "10.0.0.0/", "10.9.0.0/016", "9.0.0.0/0008", "x", 7]
        ),
    ),
    "server_names": st.one_of(
        st.integers(0, 99).map("n{}.Example".format),
        st.integers(0, 99).map("*.w{}.example.".format),
        st.sampled_from(["a." * 126 + end for end in ("a", "b.", "ab", "ab.")] + ["*." + "a." * 125 + "c.", "a."]),
        st.sampled_from(["a..b", "*", "", ".", "a b", "\u00fc.example", 7]),
    ),
}
LISTS: dict[str, Any] = {"a": [1, 2], "b": [5, 9]}


def settled(field: str, lists: list[list[Any]]) -> tuple[list[Any], str]:
    """Returns the boundaries and the shared lists of each rule, or the refusal."""
    try:
        matches = [
            {field: MATCH[field][1](values, f"rules[{place}].match.{field}")} for place, values in enumerate(lists)
        ]
        settle(matches, LISTS)
    except ConfigurationError as error:
        return [], str(error)
    return [(match[field].boundaries, [*match[field].lists]) for match in matches], ""


@pytest.mark.parametrize("field", VALUES)
@given(data=st.data(), at_once=st.sampled_from([1, 3, 512]))
def test_lists_mean_together_what_each_means_alone(field: str, data: st.DataObject, at_once: int) -> None:
    lists = data.draw(st.lists(st.lists(VALUES[field], min_size=1, max_size=5), max_size=6))
    alone = [settled(field, [values]) for values in lists]
    refusals = [refusal.replace("rules[0]", f"rules[{place}]") for place, (_, refusal) in enumerate(alone) if refusal]
    expected = ([], refusals[0]) if refusals else ([side for [side], _ in alone], "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sides, "_AT_ONCE", at_once)
        assert settled(field, lists) == expected


def test_many_lists_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def intervals(texts: Any) -> Any:
        calls.append(len(texts))
        return cidrs.intervals(texts)

    lists = [sides.written([f"10.{place}.0.0/16", f"2001:db8:{place:x}::/48"], "") for place in range(256)]
    made = sides.read_sides(lists, lambda value, path: pytest.fail(f"{value} was read alone"), intervals)
    assert calls == [512]
    assert [side.boundaries[1] - side.boundaries[0] for side in made] == [1 << 16] * 256


def test_intervals_of_two_kinds_stand_in_the_order_of_their_values() -> None:
    assert merged([True, False, True, False], ([1, 3], [2, 4]), ([5, 7], [6, 8])) == ([5, 1, 7, 3], [6, 2, 8, 4])
