"""What is no configuration is refused, with the field's path and the reason, in one line."""

from __future__ import annotations

import base64
import ipaddress
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter.configuration import read_configuration
from filter.matching import MATCH, settle
from filter.policy import Policy
from filter.readers import ConfigurationError
from tests.unit.configurations import refusal, rule

REJECT = {"action": {"reject": True}}
REJECT_ALL = {"default_action": REJECT["action"]}
PACKED = "cidr_lists.'a'.packed: is not a packed list"


def packed(data: bytes) -> dict[str, object]:
    return {**REJECT_ALL, "cidr_lists": {"a": {"packed": base64.b64encode(data).decode()}}}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        # names and shapes
        (b"Istio", 'the configuration is \'Istio\'; it must be "standalone" (or nothing), "istio", or rules as in'),
        (b"rules:\n- name: a\n", "the configuration is 'rules:\\n- name: a'; it must be"),
        (
            b"\xff\xfe",
            "the configuration is neither text in UTF-8 nor a message that is read; it must come as a google.pr",
        ),
        (b"\x1a\nstandalone", "the configuration is a google.protobuf.Value; it must come as a google.protobuf.Stri"),
        (b'["standalone"]', "the configuration is a JSON list, and must be an object"),
        (b"[1, 2", 'the configuration is not valid JSON at line 1, column 6: expected "," or "]", not the end'),
        (b'\n{"rules": [', "the configuration is not valid JSON at line 2, column 12: expected a value, not the end"),
        (
            b'\xef\xbb\xbf{"rules": []}',
            "the configuration is not valid JSON at line 1, column 1: there is a byte order",
        ),
        (b"{" * 100, "the configuration is nested deeper than 16 levels at line 1, column 17"),
        (
            b"{" + b" " * (1 << 18) + b"}",
            "the configuration has 262146 bytes; at most 262144 are read, packed lists not",
        ),
        (b'{"":"' + b"A" * (1 << 22) + b'"}', "the configuration has 4194311 bytes; at most 4194304 are read"),
        (b'{"":"' + b"A" * (1 << 21) + b'"}', "'': unknown field; there are rules"),
        ({"rules": [{**REJECT, "": 1}]}, "rules[0].'': unknown field; there are name, match, action"),
        (b"null", "the configuration is a JSON value, and must be an object"),
        (b'""', "the configuration is a JSON value, and must be an object"),
        (
            b'\n// rules\n{"rules": []}',
            "the configuration is not valid JSON at line 2, column 1: expected a value, not '/'; JSON has no comments",
        ),
        (b"# rules", "the configuration is not valid JSON at line 1, column 1: expected a value, not '#'; JSON has no"),
        (
            b"'{}'",
            'the configuration is not valid JSON at line 1, column 1: expected a value, not "\'"; JSON has double quo',
        ),
        (
            "\u00a0{}".encode(),
            "the configuration is not valid JSON at line 1, column 1: expected a value, not '\\xa0'",
        ),
        (
            "\u200b{}".encode(),
            "the configuration is not valid JSON at line 1, column 1: expected a value, not '\\u200b'",
        ),
        ({"failure_mode": "FAIL_OPEN"}, "rules: missing, and there is no default_action either"),
        ({"preset": "Istio"}, "preset: must be standalone or istio, not 'Istio'"),
        ({"preset": ""}, "preset: must be standalone or istio, not ''"),
        ({"preset": "istio", "failureMode": "FAIL_OPEN"}, "preset: goes alone; here is failure_mode too"),
        (
            {"rules": [REJECT], "default_action": {"reject": True}, "preset": "istio"},
            "preset: goes alone; here is rules and default_action too",
        ),
        ({"rulez": []}, "rulez: unknown field; there are rules, default_action, failure_mode, preset, cidr_lists"),
        ({"a\nb" * 100: 1}, "a\\nb"),
        ({"rules": {}}, "rules: must be a list, not an object"),
        ({"rules": None}, "rules: must be a list, not null"),
        ({"rules": []}, "rules: must not be empty; leave it out"),
        ({"rules": ["x"]}, "rules[0]: must be an object, not a string"),
        ({"rules": [REJECT, 3]}, "rules[1]: must be an object, not 3"),
        ({"rules": [{**REJECT, "match": None}]}, "rules[0].match: must be an object, not null"),
        ({"rules": [{**REJECT, "matches": {}}]}, "rules[0].matches: unknown field; there are name, match, action"),
        (
            {"rules": [rule(destination_ports=[i + 1]) for i in range(257)]},
            "rules: there are 257; at most 256 are read",
        ),
        (
            b'{"rules": [], "rules": []}',
            "the configuration is not valid JSON at line 1, column 15: 'rules' is given twice, f",
        ),
        (
            b"\n\x10\n\x05rules\x12\x07\x1a\x05first" * 2,
            "rules: must be a list, not a string",
        ),
        (b'{"failure_mode": "FAIL_OPEN", "failureMode": "FAIL_CLOSED"}', "failure_mode: given twice"),
        (
            b'{"rules": [{"action": {"reject": true}, "match": {"source_parity": "ODD", "sourceParity": "ODD"}}]}',
            "rules[0].match.source_parity: given twice",
        ),
        ({"failure_mode": "OPEN"}, "failure_mode: must be FAIL_OPEN or FAIL_CLOSED, not 'OPEN'"),
        ({"failure_mode": 1}, "failure_mode: must be FAIL_OPEN or FAIL_CLOSED, not 1"),
        # names of rules
        ({"rules": [{"name": "", **REJECT}]}, "rules[0].name: must not be empty"),
        ({"rules": [{"name": "a\n[error] b", **REJECT}]}, "rules[0].name: 'a\\n[error] b' has a character that cannot"),
        ({"rules": [{"name": "a" * 129, **REJECT}]}, "rules[0].name: has 129 characters; at most 128 are read"),
        (
            {"rules": [{"name": "a", **rule(source_parity="ODD")}, {"name": "a", **REJECT}]},
            "rules[1].name: 'a' is the name of rules[0] too",
        ),
        # actions
        ({"rules": [{"match": {}}]}, "rules[0].action: missing"),
        ({"rules": [{"action": {}}]}, "rules[0].action: give one of cluster, reject and continue; here are none"),
        ({"rules": [{"action": {"cluster": "a", "reject": True}}]}, "rules[0].action: give one of cluster, reject and"),
        ({"rules": [{"action": {"cluster": ""}}]}, "rules[0].action.cluster: must not be empty"),
        ({"rules": [{"action": {"cluster": 1}}]}, "rules[0].action.cluster: must be a string, not 1"),
        ({"rules": [{"action": {"cluster": "a{Port}"}}]}, "rules[0].action.cluster: 'a{Port}' has a brace that"),
        ({"rules": [{"action": {"cluster": "\ud800"}}]}, "rules[0].action.cluster: '\\ud800' has a character"),
        ({"rules": [{"action": {"reject": False}}]}, "rules[0].action.reject: must be true, not false"),
        ({"default_action": {"continue": "yes"}}, "default_action.continue: must be true, not a string"),
        ({"default_action": "continue"}, "default_action: must be an object, not a string"),
        # sources
        ({"rules": [rule(source_cidrs="10.0.0.0/8")]}, "rules[0].match.source_cidrs: must be a list, not a string"),
        ({"rules": [rule(source_cidrs=[])]}, "rules[0].match.source_cidrs: must not be empty; leave it out"),
        (
            {"rules": [rule(source_cidrs=["10.0.0.1/8"])]},
            "rules[0].match.source_cidrs[0]: '10.0.0.1/8' has bits set behind the prefix of 8",
        ),
        (
            {"rules": [rule(source_cidrs=["::/0", "2001:db8::1/32"])]},
            "rules[0].match.source_cidrs[1]: '2001:db8::1/32' has bits set behind the prefix of 32",
        ),
        (
            {"rules": [rule(source_cidrs=["10.0.0.0/33"])]},
            "rules[0].match.source_cidrs[0]: '10.0.0.0/33' has a prefix length that is not a number from 0 to 32",
        ),
        ({"rules": [rule(source_cidrs=["::/129"])]}, "rules[0].match.source_cidrs[0]: '::/129' has a prefix length"),
        ({"rules": [rule(source_cidrs=["10.0.0.0/"])]}, "rules[0].match.source_cidrs[0]: '10.0.0.0/' has a prefix"),
        ({"rules": [rule(source_cidrs=["10.0.0.0/255.0.0.0"])]}, "rules[0].match.source_cidrs[0]: '10.0.0.0/255"),
        ({"rules": [rule(source_cidrs=["10.0.0.0:80"])]}, "rules[0].match.source_cidrs[0]: '10.0.0.0:80' is not a"),
        ({"rules": [rule(source_cidrs=["[::1]"])]}, "rules[0].match.source_cidrs[0]: '[::1]' is not a block of IP"),
        ({"rules": [rule(source_cidrs=["fe80::1%eth0"])]}, "rules[0].match.source_cidrs[0]: 'fe80::1%eth0' is not a"),
        ({"rules": [rule(source_cidrs=["10.0.0"])]}, "rules[0].match.source_cidrs[0]: '10.0.0' is not a block of"),
        (
            {"rules": [rule(source_cidrs=["::ffff:10.0.0.0/104"])]},
            "rules[0].match.source_cidrs[0]: '::ffff:10.0.0.0/104' is an IPv4-mapped address; write the block of IPv4",
        ),
        (
            {"rules": [rule(source_cidrs=["10.0.0.0/8", "::/0", "10.1.0.0/16"])]},
            "rules[0].match.source_cidrs[2]: overlaps: it lies within rules[0].match.source_cidrs[0]",
        ),
        ({"rules": [rule(source_cidrs=["10.0.0.1", "10.0.0.1/32"])]}, "rules[0].match.source_cidrs[1]: overlaps"),
        ({"rules": [rule(source_parity="even")]}, "rules[0].match.source_parity: must be EVEN or ODD, not 'even'"),
        ({"rules": [rule(source_parity="PARITY_UNSPECIFIED")]}, "rules[0].match.source_parity: must be EVEN or ODD"),
        (
            {"rules": [rule(source_percentage=0)]},
            "rules[0].match.source_percentage: must be more than 0 and at most 100, not 0",
        ),
        (
            {"rules": [rule(source_percentage=100.01)]},
            "rules[0].match.source_percentage: must be more than 0 and at most",
        ),
        ({"rules": [rule(source_percentage=-1)]}, "rules[0].match.source_percentage: must be more than 0 and at most"),
        (
            {"rules": [rule(source_percentage=12.345)]},
            "rules[0].match.source_percentage: must be a multiple of 0.01, not 12.345",
        ),
        ({"rules": [rule(source_percentage="10%")]}, "rules[0].match.source_percentage: must be a number, not '10%'"),
        ({"rules": [rule(source_percentage="")]}, "rules[0].match.source_percentage: must be a number, not ''"),
        ({"rules": [rule(source_percentage=" 10")]}, "rules[0].match.source_percentage: must be a number, not ' 10'"),
        ({"rules": [rule(source_percentage=".")]}, "rules[0].match.source_percentage: must be a number, not '.'"),
        ({"rules": [rule(source_percentage=".e5")]}, "rules[0].match.source_percentage: must be a number, not '.e5'"),
        ({"rules": [rule(source_percentage="+-5")]}, "rules[0].match.source_percentage: must be a number, not '+-5'"),
        (
            {"rules": [rule(source_percentage="1e999")]},
            "rules[0].match.source_percentage: must be a number, not '1e999'",
        ),
        ({"rules": [rule(source_percentage="NaN")]}, "rules[0].match.source_percentage: must be a number, not 'NaN'"),
        (
            {"rules": [rule(source_percentage="0.0")]},
            "rules[0].match.source_percentage: must be more than 0 and at most",
        ),
        ({"rules": [rule(source_percentage="100.01")]}, "rules[0].match.source_percentage: must be more than 0 and at"),
        (
            {"rules": [rule(source_percentage="-1")]},
            "rules[0].match.source_percentage: must be more than 0 and at most",
        ),
        (
            {"rules": [rule(source_percentage="12.345")]},
            "rules[0].match.source_percentage: must be a multiple of 0.01, not 12.345",
        ),
        ({"rules": [rule(source_percentage=True)]}, "rules[0].match.source_percentage: must be a number, not true"),
        (b'{"rules": [{"match": {"source_percentage": 1e999}}]}', "rules[0].match.source_percentage: must be a number"),
        # ports
        ({"rules": [rule(destination_ports=80)]}, "rules[0].match.destination_ports: must be a list, not 80"),
        (
            {"rules": [rule(destination_ports=[0])]},
            "rules[0].match.destination_ports[0]: must be a port from 1 to 65535",
        ),
        ({"rules": [rule(destination_ports=[1, 65536])]}, "rules[0].match.destination_ports[1]: must be a port from 1"),
        ({"rules": [rule(destination_ports=[80.5])]}, "rules[0].match.destination_ports[0]: must be a whole number"),
        (
            {"rules": [rule(destination_ports=["http"])]},
            "rules[0].match.destination_ports[0]: must be a number, not 'http'",
        ),
        (
            {"rules": [rule(destination_ports=["080"])]},
            "rules[0].match.destination_ports[0]: must be a number, not '080'",
        ),
        ({"rules": [rule(destination_ports=["80.5"])]}, "rules[0].match.destination_ports[0]: must be a whole number"),
        (
            {"rules": [rule(destination_ports=[80, "80"])]},
            "rules[0].match.destination_ports[1]: overlaps: it lies within rules[0].match.destination_ports[0]",
        ),
        (
            {"rules": [rule(destination_ports=[80, 443, 80.0])]},
            "rules[0].match.destination_ports[2]: overlaps: it lies within rules[0].match.destination_ports[0]",
        ),
        (
            {"rules": [rule(destination_ports=["8000-"])]},
            "rules[0].match.destination_ports[0]: '8000-' is not a range of ports such as \"8000-8999\"",
        ),
        (
            {"rules": [rule(destination_ports=["080-090"])]},
            "rules[0].match.destination_ports[0]: '080-090' is not a range of ports such as \"8000-8999\"",
        ),
        ({"rules": [rule(destination_ports=["1-2-3"])]}, "rules[0].match.destination_ports[0]: '1-2-3' is not a range"),
        ({"rules": [rule(source_ports=["1-2-3", "4"])]}, "rules[0].match.source_ports[0]: '1-2-3' is not a range"),
        ({"rules": [rule(source_ports=["4-5", "1-2\n3"])]}, "rules[0].match.source_ports[1]: '1-2\\n3' is not a range"),
        (
            {"rules": [rule(source_ports=["1-2\n3-4", "5"])]},
            "rules[0].match.source_ports[0]: '1-2\\n3-4' is not a range",
        ),
        ({"rules": [rule(destination_ports=[" 1-2"])]}, "rules[0].match.destination_ports[0]: ' 1-2' is not a range"),
        ({"rules": [rule(destination_ports=["0-2"])]}, "rules[0].match.destination_ports[0]: must be a port from 1 to"),
        ({"rules": [rule(source_ports=["1-65536"])]}, "rules[0].match.source_ports[0]: must be a port from 1 to 65535"),
        ({"rules": [rule(source_ports=["9-8"])]}, "rules[0].match.source_ports[0]: '9-8' ends before it begins"),
        (
            {"rules": [rule(destination_ports=["80-90", 85])]},
            "rules[0].match.destination_ports[1]: overlaps: it lies within rules[0].match.destination_ports[0]",
        ),
        (
            {"rules": [rule(destination_ports=["80-90", "85-95"])]},
            "rules[0].match.destination_ports[0]: overlaps: it has a part of rules[0].match.destination_ports[1]",
        ),
        # lists of blocks
        (
            {"rules": [rule(source_cidrs=["10.0.0.0/8", "list:office"])]},
            "rules[0].match.source_cidrs[1]: 'office' is not in cidr_lists",
        ),
        (
            {"rules": [rule(destination_cidrs=["list:Home"])], "cidr_lists": {"home": {"cidrs": ["::1"]}}},
            "rules[0].match.destination_cidrs[0]: 'Home' is not in cidr_lists; there are 'home'",
        ),
        (
            {**REJECT_ALL, "cidr_lists": {str(i): {"cidrs": ["::1"]} for i in range(17)}},
            "cidr_lists: there are 17; at most 16 are read",
        ),
        ({**REJECT_ALL, "cidr_lists": []}, "cidr_lists: must be an object, not a list"),
        ({**REJECT_ALL, "cidr_lists": {"": {"cidrs": ["::1"]}}}, "cidr_lists: must not be empty"),
        ({**REJECT_ALL, "cidr_lists": {"a": {}}}, "cidr_lists.'a': give one of cidrs and packed; here are none"),
        ({**REJECT_ALL, "cidr_lists": {"a": ["::1"]}}, "cidr_lists.'a': must be an object, not a list"),
        ({**REJECT_ALL, "cidr_lists": {"a": {"cidrs": []}}}, "cidr_lists.'a'.cidrs: must not be empty"),
        (
            {**REJECT_ALL, "cidr_lists": {"a": {"cidrs": ["::1", "list:a"]}}},
            "cidr_lists.'a'.cidrs[1]: 'list:a' is not a block of IP addresses",
        ),
        (
            {**REJECT_ALL, "cidr_lists": {"a": {"cidrs": ["10.0.0.0/8", "10.0.0.0/9"]}}},
            "cidr_lists.'a'.cidrs[1]: overlaps: it lies within cidr_lists.'a'.cidrs[0]",
        ),
        ({**REJECT_ALL, "cidr_lists": {"a": {"packed": 1}}}, "cidr_lists.'a'.packed: must be a string, not 1"),
        (packed(b"CIDR"), f'{PACKED} (does not begin with "CIDR"); make one with filter/pack_cidrs.py'),
        (packed(b"cidr\0\0\0\0"), f"{PACKED} (does not begin with"),
        (packed(b"CIDR\0\0\0\0"), f"{PACKED} (has no blocks)"),
        (packed(b"CIDR\2\0\0\0\1\0\0\0"), f"{PACKED} (is cut off)"),
        (packed(b"CIDR\0\0\0\0" + bytes(17)), f"{PACKED} (is cut off)"),
        (packed(b"CIDR\2\0\0\0\1\0\0\0\1\0\0\0"), f"{PACKED} (is not in order)"),
        (packed(b"CIDR\0\0\0\0" + bytes(15) + b"\2" + bytes(16)), f"{PACKED} (is not in order)"),
        ({**REJECT_ALL, "cidr_lists": {"a": {"packed": "Q0lE*"}}}, PACKED),
        (
            {"rules": [rule(source_ports=[*range(1, 20_001)]), rule(destination_ports=[1])]},
            "rules: their lists have 20003 values; at most 8192 are read: use ranges and packed lists",
        ),
        (
            {"rules": [rule(source_ports=[*range(1, 4_001)]), rule(source_ports=[1])]},
            "rules: they have 4001 values of source_ports; at most 4000 are read of several rules",
        ),
        (
            {"rules": [rule(source_ports=["+1-5"])]},
            "rules[0].match.source_ports[0]: '+1-5' is not a range of ports such as",
        ),
        (
            {"rules": [rule(source_ports=["1-+5"])]},
            "rules[0].match.source_ports[0]: '1-+5' is not a range of ports such as",
        ),
        # server names
        ({"rules": [rule(server_names=[""])]}, "rules[0].match.server_names[0]: must not be empty"),
        ({"rules": [rule(server_names=["*"])]}, "rules[0].match.server_names[0]: '*' is not a name such as"),
        ({"rules": [rule(server_names=["a.*.b"])]}, "rules[0].match.server_names[0]: 'a.*.b' is not a name such as"),
        ({"rules": [rule(server_names=["*a.b"])]}, "rules[0].match.server_names[0]: '*a.b' is not a name such as"),
        ({"rules": [rule(server_names=["a..b"])]}, "rules[0].match.server_names[0]: 'a..b' is not a name such as"),
        ({"rules": [rule(server_names=["a.."])]}, "rules[0].match.server_names[0]: 'a..' is not a name such as"),
        ({"rules": [rule(server_names=["."])]}, "rules[0].match.server_names[0]: '.' is not a name such as"),
        ({"rules": [rule(server_names=["*."])]}, "rules[0].match.server_names[0]: '*.' is not a name such as"),
        ({"rules": [rule(server_names=["a\0.b"])]}, "rules[0].match.server_names[0]: 'a\\x00.b' has a character that"),
        (
            {"rules": [rule(server_names=["a" * 254])]},
            "rules[0].match.server_names[0]: has 254 characters; at most 253",
        ),
        (
            {"rules": [rule(server_names=["*.b", "*.B."])]},
            "rules[0].match.server_names[1]: overlaps: it lies within rules[0].match.server_names[0]",
        ),
        ({"rules": [rule(server_names=["a b"])]}, "rules[0].match.server_names[0]: 'a b' is not a name such as"),
        (
            {"rules": [rule(server_names=["bücher.example"])]},
            "rules[0].match.server_names[0]: 'b\\xfccher.example' is not",
        ),
        ({"rules": [rule(server_names=["\u212aelvin.example"])]}, "rules[0].match.server_names[0]: '\\u212aelvin.exam"),
        (
            {"rules": [rule(server_names=["*.b", "A.b"])]},
            "rules[0].match.server_names[1]: overlaps: it lies within rules[0].match.server_names[0]",
        ),
        # rules that can never match
        (
            {"rules": [rule(), rule(source_parity="ODD")]},
            "rules[1].match: unreachable: rules[0] takes every connection that it matches",
        ),
        (
            {"rules": [rule(source_parity="ODD"), rule(source_parity="EVEN"), rule(destination_ports=[80])]},
            "rules[2].match: unreachable: the rules before it take every connection that it matches",
        ),
        (
            {
                "rules": [
                    rule(source_cidrs=["10.0.0.0/9"]),
                    rule(source_cidrs=["10.128.0.0/9"]),
                    rule(source_cidrs=["10.0.0.0/8"]),
                ]
            },
            "rules[2].match: unreachable: the rules before it take",
        ),
        ({"rules": [rule(source_percentage=30), rule(source_percentage=20)]}, "rules[1].match: unreachable: rules[0]"),
        (
            {"rules": [rule(source_cidrs=["10.0.0.2", "10.0.0.4"], source_parity="ODD")]},
            "rules[0].match: matches nothing: none of these addresses has this parity and percentage",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(value: object, reason: str) -> None:
    assert refusal(value).startswith(reason)


CIDR_PARTS = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["10.0.0.0", "::", "10.0.0", "1.2.3.256", "01.2.3.4", "::1%x", "2001:db8::", "a", ""]),
)


@given(CIDR_PARTS, st.sampled_from(["", "/"]) | st.integers(-1, 130).map("/{}".format))
def test_a_block_is_what_ipaddress_takes_for_one(address: str, prefix: str) -> None:
    text = address + prefix
    try:
        network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = ipaddress.ip_network(text)
    except ValueError:
        network = None
    if network and (getattr(network.network_address, "ipv4_mapped", None) or "%" in text):
        network = None
    try:
        read = read_configuration(json.dumps({"rules": [rule(source_cidrs=[text])]}).encode())
    except ConfigurationError:
        assert network is None
        return
    assert network is not None
    assert isinstance(read, Policy)
    assert read.source_cidrs is not None
    axis = 0 if network.version == 4 else 1 << 32
    assert read.source_cidrs.keys == [axis + int(network.network_address), axis + int(network.broadcast_address) + 1]


@given(st.lists(st.text("aB.*-_1 ", max_size=6) | st.from_regex(r"([*][.])?[aB]([.][aB]){0,2}[.]?", fullmatch=True)))
def test_names_mean_together_what_each_means_alone(names: list[str]) -> None:
    """A list is read at once if all is as it should be; what is not taken then is read name by name."""

    def interval(name: str) -> tuple[str, str] | None:
        name = name.lower().removesuffix(".")
        if not re.fullmatch(r"([*][.])?[a-z0-9_-]+([.][a-z0-9_-]+)*", name):
            return None
        backwards = name[::-1].removesuffix("*")
        return backwards, backwards[:-1] + "/" if name[0] == "*" else backwards + "\0"

    expected = [interval(name) for name in names]
    try:
        match = {"server_names": MATCH["server_names"][1](names, "")}
        settle([match], {})
        boundaries = match["server_names"].boundaries
    except ConfigurationError as error:
        assert not names or None in expected or "overlaps" in str(error)
    else:
        assert sorted(filter(None, expected)) == [*zip(boundaries[::2], boundaries[1::2], strict=True)]
        assert None not in expected
