"""The policy engine decides as the schema's words and Python's ipaddress say."""

from __future__ import annotations

import ipaddress
import zlib

import pytest
from hypothesis import HealthCheck, example, given, settings

from filter import training
from filter.address import packed
from filter.index import Side
from filter.pack_cidrs import pack
from filter.policy import FIELDS, POSITIONS, Policy, Rule, RuleAction, source_position
from filter.routing import ISTIO, STANDALONE, route
from filter.server_names import normal_form
from tests.policies import cases


def decided(policy: Policy, connection: cases.Connection) -> tuple[str, dict[str, object]]:
    rule = policy.decide(
        packed(connection.source.encode()) if policy.needs_source else b"",
        connection.port if policy.needs_port else 0,
        connection.server_name if policy.needs_server_name else "",
        packed(connection.destination.encode()) if policy.needs_destination else b"",
        connection.source_port if policy.needs_source_port else 0,
    )
    action = rule.action
    if action.cluster is not None:
        return rule.name, {"cluster": action.cluster}
    return rule.name, {"reject": True} if action.reject else {"continue": True}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(cases.POLICIES, cases.CONNECTIONS, cases.CONNECTIONS, cases.CONNECTIONS)
def test_random_policies_decide_as_their_words_say(
    policy: cases.Policy, one: cases.Connection, two: cases.Connection, three: cases.Connection
) -> None:
    # That a rule is refused as unreachable must not change a decision either.
    mine = cases.read(cases.reachable(policy))
    for connection in (one, two, three):
        assert decided(mine, connection) == cases.decide(policy, connection)


def by_parity(even: str, odd: str, **match: object) -> list[dict[str, object]]:
    return [
        {"match": {"source_parity": "EVEN", **match}, "action": {"cluster": even}},
        {"match": {"source_parity": "ODD", **match}, "action": {"cluster": odd}},
    ]


SUFFIX = "default.svc.cluster.local"
AS_RULES: dict[str, cases.Policy] = {
    "standalone": {"rules": by_parity("egress-router1", "egress-router2")},
    "istio": {
        "rules": [
            *by_parity(
                *(f"outbound|8081||egress-router{router}.{SUFFIX}" for router in (1, 2)), destination_ports=[80]
            ),
            *by_parity(*(f"outbound|8080||egress-router{router}.{SUFFIX}" for router in (1, 2))),
        ]
    },
}


@given(cases.CONNECTIONS)
@example(cases.Connection("10.0.0.1:1", 80, ""))
def test_the_two_named_configurations_are_policies_too(connection: cases.Connection) -> None:
    for named, rules in ((STANDALONE, AS_RULES["standalone"]), (ISTIO, AS_RULES["istio"])):
        cluster = route(packed(connection.source.encode()), named.clusters_at(connection.port))
        assert decided(cases.read(rules), connection) == ("", {"cluster": cluster})


@pytest.mark.parametrize(
    "addresses",
    [
        [f"10.{i >> 8}.{i & 255}.9" for i in range(0, 65536, 7)],
        [f"192.168.{i >> 8}.{i & 255}" for i in range(0, 65536, 2)],
        [f"2001:db8::{i:x}" for i in range(8192)],
        [f"2001:db8:{i:x}::1" for i in range(8192)],
    ],
    ids=["hosts in many networks", "even", "hosts of an IPv6 network", "IPv6 networks"],
)
@pytest.mark.parametrize("percentage", [1, 10, 33.33, 50, 90])
def test_a_percentage_of_the_sources_is_that_many(addresses: list[str], percentage: float) -> None:
    policy = cases.read({"rules": [{"match": {"source_percentage": percentage}, "action": {"reject": True}}]})
    rejected = sum(policy.decide(ipaddress.ip_address(address).packed).action.reject for address in addresses)
    expected = len(addresses) * percentage / 100
    # Five standard deviations of that many coins.
    assert abs(rejected - expected) < 5 * (expected * (1 - percentage / 100)) ** 0.5


def test_the_position_is_the_documented_one() -> None:
    # printf '\x0a\x00\x00\x01' | gzip -c | tail -c8 | od -An -N4 -tu4
    assert zlib.crc32(bytes([10, 0, 0, 1])) == 972_951_534
    assert source_position(bytes([10, 0, 0, 1])) == 1534
    assert all(0 <= source_position(bytes([i, 0, 0, 1])) < POSITIONS for i in range(256))


def test_a_source_keeps_its_side_when_the_percentage_grows() -> None:
    rules = [
        Policy([({"source_percentage": Side([0, step])}, Rule(RuleAction("canary")))])
        for step in range(500, 10_001, 500)
    ]
    for last in range(256):
        sides = [policy.decide(bytes([192, 0, 2, last])).action.cluster == "canary" for policy in rules]
        assert sides == sorted(sides)
        assert sides[-1]


def test_only_what_rules_look_at_is_needed() -> None:
    def needs(policy: cases.Policy) -> set[str]:
        found = cases.read(policy)
        return {name for name in dir(found) if name.startswith("needs_") and getattr(found, name)}

    rest = {"action": {"reject": True}}
    assert needs({"default_action": {"cluster": "a"}}) == set()
    assert needs({"default_action": {"cluster": "a{port}"}}) == {"needs_port", "needs_more"}
    matches: list[tuple[dict[str, object], set[str]]] = [
        ({"server_names": ["a"]}, {"needs_server_name", "needs_more"}),
        ({"destination_ports": [1]}, {"needs_port", "needs_more"}),
        ({"source_ports": [1]}, {"needs_source_port", "needs_more"}),
        ({"destination_cidrs": ["::1"]}, {"needs_destination", "needs_more"}),
        ({"source_parity": "ODD"}, {"needs_source"}),
        ({"source_percentage": 1}, {"needs_source"}),
        ({"source_cidrs": ["::1"]}, {"needs_source"}),
    ]
    assert {field for match, _ in matches for field in match} == set(FIELDS)
    for match, needed in matches:
        assert needs({"rules": [{"match": match, **rest}]}) == needed


def test_a_long_server_name_is_no_way_around_a_wildcard() -> None:
    policy = cases.read({"rules": [{"match": {"server_names": ["*.example"]}, "action": {"reject": True}}]})
    assert policy.decide(server_name="a." * 100 + "example").action.reject
    assert policy.decide(server_name=normal_form("." * 100_000 + ".example")).action.reject
    assert not policy.decide(server_name=normal_form("a" * 100_000 + "example")).action.reject


def test_eight_thousand_blocks_are_looked_up_not_walked() -> None:
    blocks = [f"10.{i >> 6}.{(i & 63) << 2}.0/22" for i in range(8_000)]
    policy = cases.read({"rules": [{"match": {"source_cidrs": blocks}, "action": {"reject": True}}]})
    assert policy.source_cidrs is not None
    assert len(policy.source_cidrs.keys) == 16_000
    assert policy.decide(bytes([10, 124, 255, 255])).action.reject
    assert not policy.decide(bytes([10, 125, 0, 0])).action.reject


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "0 rules, failing open"),
        ([""], "1 rule, failing open"),
        (["blocked", "", "canary"], "3 rules (blocked, canary), failing open"),
        (["a" * 127 + str(place) for place in range(9)], None),
    ],
)
def test_a_policy_is_described_by_the_number_and_the_names_of_its_rules(names: list[str], text: str | None) -> None:
    rules = [
        {"match": {"destination_ports": [place + 1]}, "action": {"reject": True}} | ({"name": name} if name else {})
        for place, name in enumerate(names)
    ]
    described = cases.read({"default_action": {"reject": True}} | ({"rules": rules} if rules else {})).describe()
    if text is None:
        assert (
            described.startswith("9 rules (aaa") and described.endswith("a...), failing open") and len(described) < 1100
        )
    else:
        assert described == text


def test_rules_that_overlap_share_a_list_or_touch() -> None:
    rules = [
        {"match": {"source_cidrs": ["10.1.0.0/16", "list:a"], "destination_ports": [1]}, "action": {"cluster": "0"}},
        {"match": {"source_cidrs": ["10.0.0.0/8"], "destination_ports": ["1-9"]}, "action": {"cluster": "1"}},
        {"match": {"source_cidrs": ["list:a", "list:b"], "destination_ports": ["10-19"]}, "action": {"cluster": "2"}},
        {"match": {"source_cidrs": ["list:b"]}, "action": {"cluster": "3"}},
    ]
    lists = {
        "a": {"cidrs": ["10.1.128.0/17", "11.0.0.0/8"]},
        "b": {"packed": pack(["12.0.0.0/8", "10.1.0.0/16", "::1"])},
    }
    policy = cases.read({"rules": rules, "cidr_lists": lists})

    def cluster(source: str, port: int) -> str | None:
        return policy.decide(ipaddress.ip_address(source).packed, port).action.cluster

    assert [cluster("10.1.0.0", port) for port in (1, 9, 10, 19, 20)] == ["0", "1", "2", "2", "3"]
    assert [cluster("10.0.255.255", port) for port in (1, 9, 10)] == ["1", "1", None]
    assert [cluster("11.255.255.255", port) for port in (1, 9, 10)] == ["0", None, "2"]
    assert [cluster("12.0.0.0", port) for port in (1, 19, 20)] == ["3", "2", "3"]
    assert [cluster("::1", port) for port in (1, 19)] == ["3", "2"]
    assert [cluster("9.255.255.255", 1), cluster("13.0.0.0", 19), cluster("::2", 19)] == [None, None, None]


def test_the_training_has_each_field_of_a_match() -> None:
    """What reads a field that the training does not have is interpreted: right, and slow."""
    rules = training._LONG["rules"]
    assert {name for rule in rules for name in rule["match"]} == set(FIELDS)
