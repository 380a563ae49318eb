"""Random policies and connections, and what becomes of a connection by the schema's words alone: `ipaddress` and `zlib`.

The values come from a small world, so that rules meet connections, and each other, often.
"""

from __future__ import annotations

import ipaddress
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import filter.policy
from filter.configuration import ConfigurationError, read_configuration

Policy = dict[str, Any]
"""A configuration as in proto/tcp_routing.proto, ready for `json.dumps`."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_BASES = [
    "10.0.0.0",
    "10.0.0.5",
    "10.0.1.0",
    "10.128.0.0",
    "192.0.2.7",
    "2001:db8::",
    "2001:db8::1",
    "2001:db8:8000::7",
]
PORTS = [80, 443, 8080, 65535]
NAMES = ["a.example", "b.example", "x.a.example", "y.x.a.example", "*.example", "*.a.example", "*.x.a.example"]


@dataclass(frozen=True)
class Connection:
    """What a rule can look at: Envoy's `source.address`, the destination port, the server name."""

    source: str
    port: int
    server_name: str

    @property
    def address(self) -> Address:
        """The source's address; of an IPv4-mapped one the IPv4 address."""
        host = self.source.rpartition(":")[0].strip("[]")
        address = ipaddress.ip_address(host)
        return getattr(address, "ipv4_mapped", None) or address


def _source(address: Address) -> str:
    return f"[{address}]:4711" if address.version == 6 else f"{address}:4711"


def _near(base: str, offset: int) -> Address:
    address = ipaddress.ip_address(base)
    return type(address)((int(address) + offset) % (1 << address.max_prefixlen))


ADDRESSES: st.SearchStrategy[Address] = st.one_of(
    st.builds(_near, st.sampled_from(_BASES), st.integers(0, 9)), st.ip_addresses()
)
CONNECTIONS = st.builds(
    Connection,
    st.one_of(
        ADDRESSES.map(_source),
        st.ip_addresses(v=4).map("[::ffff:{}]:4711".format),
        st.builds(_near, st.just("10.0.0.0"), st.integers(0, 9)).map("[::ffff:{}]:4711".format),
    ),
    st.sampled_from([*PORTS, 1]),
    st.sampled_from(["", "example", "z.example", *[name for name in NAMES if "*" not in name]]),
)


def _blocks(values: Iterable[tuple[Address, int]]) -> list[str]:
    networks = [
        ipaddress.ip_network((address, min(length, address.max_prefixlen)), False) for address, length in values
    ]
    apart: list[Any] = []
    for version in (4, 6):
        apart += ipaddress.collapse_addresses([net for net in networks if net.version == version])
    # An IPv4-mapped block must be written as IPv4.
    return [str(net) for net in apart if getattr(net.network_address, "ipv4_mapped", None) is None]


CIDRS = st.lists(st.tuples(ADDRESSES, st.sampled_from([0, 1, 8, 9, 16, 29, 31, 32, 33, 64, 127, 128])), max_size=4).map(
    _blocks
)


def _apart(names: list[str]) -> list[str]:
    return [name for name in names if not any(is_named(name.lstrip("*."), [other]) for other in names if other != name)]


def _without_nothing(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value != []}


MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "source_cidrs": CIDRS,
        "source_parity": st.sampled_from(["EVEN", "ODD"]),
        "source_percentage": st.sampled_from([0.01, 1, 12.5, 30, 50, 99.99, 100]),
        "destination_ports": st.lists(st.sampled_from(PORTS), unique=True),
        "server_names": st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(_apart),
    },
).map(_without_nothing)

ACTIONS = st.one_of(
    st.sampled_from(["a", "b", "outbound|{port}||c"]).map(lambda cluster: {"cluster": cluster}),
    st.just({"reject": True}),
    st.just({"continue": True}),
)

RULES = st.builds(
    lambda match, action: {"match": match, "action": action} if match else {"action": action}, MATCHES, ACTIONS
)


def _named(rules: list[dict[str, Any]], named: list[bool]) -> list[dict[str, Any]]:
    return [
        {"name": f"rule {place}", **rule} if name else rule
        for place, (rule, name) in enumerate(zip(rules, named, strict=False))
    ]


POLICIES: st.SearchStrategy[Policy] = st.fixed_dictionaries(
    {
        "rules": st.builds(_named, st.lists(RULES, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6)),
        "default_action": ACTIONS,
    },
    optional={"failure_mode": st.sampled_from(["FAIL_OPEN", "FAIL_CLOSED"])},
).map(_without_nothing)


def is_named(name: str, patterns: list[str]) -> bool:
    """Tells whether a server name is one of these, or below one with a wildcard."""
    return any(name.endswith(pattern[1:]) if pattern.startswith("*") else name == pattern for pattern in patterns)


def matches(match: dict[str, Any], connection: Connection) -> bool:
    """Tells whether a match of the schema is about a connection."""
    address = connection.address
    position = zlib.crc32(address.packed) % 10_000 / 100
    return (
        any(address in ipaddress.ip_network(block) for block in match.get("source_cidrs", ["0.0.0.0/0", "::/0"]))
        and match.get("source_parity") in (None, ["EVEN", "ODD"][address.packed[-1] % 2])
        and position < match.get("source_percentage", 100)
        and connection.port in match.get("destination_ports", [connection.port])
        and is_named(connection.server_name, match.get("server_names", [connection.server_name]))
    )


def decide(policy: Policy, connection: Connection) -> tuple[str, dict[str, Any]]:
    """Returns the name and the action of the rule that decides about a connection."""
    for rule in policy.get("rules", []):
        if matches(rule.get("match", {}), connection):
            return rule.get("name", ""), rule["action"]
    return "", policy["default_action"]


def read(policy: Policy) -> filter.policy.Policy:
    """Returns what the filter makes of a policy, or raises ConfigurationError."""
    found = read_configuration(json.dumps(policy).encode())
    assert isinstance(found, filter.policy.Policy)
    return found


def reachable(policy: Policy) -> Policy:
    """Returns the policy without the rules that the filter refuses because they can never match."""
    rules = list(policy.get("rules", []))
    while rules:
        try:
            read({**policy, "rules": rules})
            return {**policy, "rules": rules}
        except ConfigurationError as error:
            reason = str(error)
        assert "unreachable" in reason or "matches nothing" in reason
        del rules[int(reason.partition("[")[2].partition("]")[0])]
    return {name: value for name, value in policy.items() if name != "rules"}
