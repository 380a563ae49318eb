"""The table of a policy's targets says of each address what the policy decides, and is there for no policy that needs more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter.policy import Policy
from filter.source_table import source_table
from tests.policies import cases

ASKED = "asked"


def ask(source: bytes, argument: object) -> str:
    return ASKED


MATCHES = st.fixed_dictionaries(
    {}, optional={"source_cidrs": cases.CIDRS.filter(bool), "source_parity": st.sampled_from(["EVEN", "ODD"])}
).filter(bool)
ACTIONS = st.sampled_from([{"cluster": "a"}, {"cluster": "b"}, {"reject": True}, {"continue": True}])
RULES = st.builds(lambda match, action: {"match": match, "action": action}, MATCHES, ACTIONS)
POLICIES = st.fixed_dictionaries(
    {"rules": st.lists(RULES, min_size=1, max_size=6), "default_action": ACTIONS, "cidr_lists": cases.CIDR_LISTS}
)


@given(POLICIES, st.lists(cases.CONNECTIONS, min_size=3, max_size=3))
def test_it_says_what_the_policy_decides(policy: cases.Policy, connections: list[cases.Connection]) -> None:
    policy["rules"] = [
        rule | {"name": f"rule {place}"} if place % 2 else rule for place, rule in enumerate(policy["rules"])
    ]
    read = cases.read(cases.reachable(policy))
    assert isinstance(read, Policy)
    table = source_table(read, ask)
    assert (table is None) == bool(read.source_cidrs and read.source_cidrs.packed)
    for where in connections if table else ():
        source = where.address.packed
        assert table and table(source) == (read.decide(source).target or ASKED)


def table_of(*matches: dict[str, Any]) -> Any:
    rules = [{"match": match, "action": {"cluster": f"c{place}"}} for place, match in enumerate(matches)]
    return source_table(cases.read({"rules": rules, "default_action": {"cluster": "rest"}}), ask)


@pytest.mark.parametrize(
    "match",
    [
        {"source_percentage": 50},
        {"destination_ports": [443]},
        {"source_ports": [443]},
        {"server_names": ["a.example"]},
        {"destination_cidrs": ["10.0.0.0/8"]},
    ],
)
def test_what_looks_at_more_has_none(match: dict[str, Any]) -> None:
    assert table_of(match) is None
    assert table_of({"source_cidrs": ["10.0.0.0/8"], **match}) is None


def test_blocks_reach_to_the_ends_of_both_families() -> None:
    table = table_of({"source_cidrs": ["0.0.0.0/1", "255.0.0.0/8", "::/16", "ff00::/8"]})
    found = {end: table(end) for end in (b"\0" * 4, b"\x7f" + b"\xff" * 3, b"\x80" + b"\0" * 3, b"\xff" * 4)}
    assert list(found.values()) == ["c0", "c0", "rest", "c0"]
    assert [table(end) for end in (b"\0" * 16, b"\1" * 16, b"\xff" * 16)] == ["c0", "rest", "c0"]
    assert table_of({"source_cidrs": ["0.0.0.0/0"]})(b"\0" * 16) == "rest"
    assert table_of({"source_cidrs": ["::/0"]})(b"\xff" * 4) == "rest"


def test_parity_alone_needs_no_addresses() -> None:
    table = table_of({"source_parity": "EVEN"})
    assert (table.ipv4_starts, table.ipv4_values) == (b"", (("c0", "rest"),))
    assert [table(b"\0" * 15 + bytes([last])) for last in (4, 5)] == ["c0", "rest"]
