"""Random policies and connections, and what becomes of a connection by the schema's words alone: `ipaddress` and `zlib`.

The values come from a small world, so that rules meet connections, and each other, often.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import operator
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

import filter.policy
from filter.configuration import read_configuration
from filter.pack_cidrs import pack
from filter.readers import ConfigurationError

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
    """What a rule can look at: Envoy's `source.address`, the destination port, the server name, the destination's address."""

    source: str
    port: int
    server_name: str
    destination_host: str = "192.0.2.1"

    @property
    def address(self) -> Address:
        """The source's address; of an IPv4-mapped one the IPv4 address."""
        return _unmapped(self.source.rpartition(":")[0].strip("[]"))

    @property
    def source_port(self) -> int:
        """The source's port."""
        return int(self.source.rpartition(":")[2])

    @property
    def destination_address(self) -> Address:
        """The destination's address; of an IPv4-mapped one the IPv4 address."""
        return _unmapped(self.destination_host)

    @property
    def destination(self) -> str:
        """Envoy's `destination.address`."""
        return (
            f"[{self.destination_host}]:{self.port}"
            if ":" in self.destination_host
            else f"{self.destination_host}:{self.port}"
        )


def _unmapped(host: str) -> Address:
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
    st.one_of(st.just("192.0.2.1"), st.just("::ffff:10.0.0.1"), ADDRESSES.map(str)),
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


LISTS = ["one", "two", "three"]
BLOCKS = st.lists(
    st.tuples(ADDRESSES, st.sampled_from([0, 1, 8, 9, 16, 29, 31, 32, 33, 64, 127, 128])), max_size=4
).map(_blocks)
CIDRS = st.builds(
    operator.add, BLOCKS, st.lists(st.sampled_from([f"list:{name}" for name in LISTS]), unique=True, max_size=2)
)


# A few that overlap with each other and with the blocks above: drawing them anew for each policy takes too long.
_LISTED = [
    ["10.0.0.0/29"],
    ["10.0.0.4/30", "10.0.1.0", "2001:db8::/33"],
    ["0.0.0.0/0"],
    ["128.0.0.0/1", "::/0"],
    ["10.0.0.0/8", "192.0.2.7", "192.0.2.9", "2001:db8::1", "2001:db8::2/127"],
]
CIDR_LISTS = st.fixed_dictionaries(
    dict.fromkeys(
        LISTS, st.sampled_from([form for blocks in _LISTED for form in ({"cidrs": blocks}, {"packed": pack(blocks)})])
    )
)


def _ports(values: list[tuple[int, int]]) -> list[int | str]:
    found: list[int | str] = []
    at = 0
    for low, high in sorted(values):
        if low > at:
            at = max(low, high)
            found.append(f"{low}-{at}" if at > low else low)
    return found


# Half of them are single ports, which meet the connections' ports.
PORT_LISTS = st.lists(st.tuples(st.sampled_from(PORTS), st.just(0) | st.sampled_from(PORTS)), max_size=4).map(_ports)


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
        "destination_ports": PORT_LISTS,
        "server_names": st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(_apart),
        "source_ports": st.sampled_from([[4711], ["4000-5000"], [1, "4712-65535"]]),
        "destination_cidrs": CIDRS,
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
        "cidr_lists": CIDR_LISTS,
    },
    optional={"failure_mode": st.sampled_from(["FAIL_OPEN", "FAIL_CLOSED"])},
).map(_without_nothing)


def is_named(name: str, patterns: list[str]) -> bool:
    """Tells whether a server name is one of these, or below one with a wildcard."""
    return any(name.endswith(pattern[1:]) if pattern.startswith("*") else name == pattern for pattern in patterns)


def is_in(address: Address, blocks: list[str], lists: dict[str, Any]) -> bool:
    """Tells whether an address is in one of these blocks and lists of blocks."""
    for block in blocks:
        if block.startswith("list:"):
            one = lists[block.removeprefix("list:")]
            if is_in(address, one["cidrs"] if "cidrs" in one else unpacked(one["packed"]), lists):
                return True
        elif address in ipaddress.ip_network(block):
            return True
    return False


def unpacked(packed: str) -> list[str]:
    """Returns the blocks of a packed list, by the words that describe its form."""
    data = base64.b64decode(packed)
    assert data[:4] == b"CIDR"
    [count] = struct.unpack_from("<I", data, 4)
    ipv4: list[Any] = [ipaddress.IPv4Address(number) for number in struct.unpack_from(f"<{count}I", data, 8)]
    rest = data[8 + 4 * count :]
    ipv6: list[Any] = [ipaddress.IPv6Address(rest[at : at + 16]) for at in range(0, len(rest), 16)]
    found: list[str] = []
    for family, last in (
        (ipv4, ipaddress.IPv4Address("255.255.255.255")),
        (ipv6, ipaddress.IPv6Address("ffff" + ":ffff" * 7)),
    ):
        ends = [address - 1 for address in family[1::2]] + [last] * (len(family) % 2)
        for start, end in zip(family[::2], ends, strict=True):
            found += map(str, ipaddress.summarize_address_range(start, end))
    return found


def is_port(port: int, ports: list[int | str]) -> bool:
    """Tells whether a port is one of these, or in one of these ranges."""
    for one in ports:
        first, _, last = str(one).partition("-")
        if int(first) <= port <= int(last or first):
            return True
    return False


def matches(match: dict[str, Any], connection: Connection, lists: dict[str, Any]) -> bool:
    """Tells whether a match of the schema is about a connection."""
    address = connection.address
    position = zlib.crc32(address.packed) % 10_000 / 100
    return (
        ("source_cidrs" not in match or is_in(address, match["source_cidrs"], lists))
        and match.get("source_parity") in (None, ["EVEN", "ODD"][address.packed[-1] % 2])
        and position < match.get("source_percentage", 100)
        and is_port(connection.source_port, match.get("source_ports", ["0-65535"]))
        and (
            "destination_cidrs" not in match or is_in(connection.destination_address, match["destination_cidrs"], lists)
        )
        and is_port(connection.port, match.get("destination_ports", ["0-65535"]))
        and is_named(connection.server_name, match.get("server_names", [connection.server_name]))
    )


def decide(policy: Policy, connection: Connection) -> tuple[str, dict[str, Any]]:
    """Returns the name and the action of the rule that decides about a connection."""
    for rule in policy.get("rules", []):
        if matches(rule.get("match", {}), connection, policy.get("cidr_lists", {})):
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
