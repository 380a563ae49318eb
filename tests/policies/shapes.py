"""The largest policies of each shape that there may be: what they cost is measured, in instructions and in a real Envoy."""

from __future__ import annotations

import ipaddress
import random
from typing import Any

from filter.pack_cidrs import pack

Policy = dict[str, Any]

RULES = 256


def _rules(*matches: Any) -> Policy:
    rules = [{"match": match, "action": {"cluster": f"c{place % 16}"}} for place, match in enumerate(matches)]
    return {"rules": rules, "default_action": {"continue": True}}


def _crossed() -> Policy:
    """Rules that overlap in every field, at random: which of them can match is not to be seen at a glance."""
    chance = random.Random(1)

    def block() -> str:
        return str(ipaddress.ip_network((chance.getrandbits(32), chance.choice([4, 8, 9, 10, 12])), strict=False))

    return _rules(
        *[
            {
                "source_cidrs": [block()],
                "destination_ports": sorted({chance.randrange(1, 200) for _ in range(6)}),
                "server_names": sorted({f"{chance.choice('abcdefg')}.x" for _ in range(3)}),
                "source_percentage": chance.randrange(1, 100),
            }
            for _ in range(RULES)
        ]
    )


def _five_fields(place: int) -> dict[str, Any]:
    return {
        "source_cidrs": [f"10.{place}.0.0/16", f"2001:db8:{place:x}::/48"],
        "source_parity": ["EVEN", "ODD"][place % 2],
        "source_percentage": place % 99 + 1,
        "destination_ports": [1000 + place, f"{3000 + 10 * place}-{3009 + 10 * place}"],
        "server_names": [f"a{place}.example.com", f"*.b{place}.example.com"],
    }


ONE_BLOCK = _rules(*[{"source_cidrs": [f"10.{place}.0.0/16"]} for place in range(RULES)])
ONE_PORT = _rules(*[{"destination_ports": [1000 + place]} for place in range(RULES)])

SHAPES: dict[str, Policy] = {
    "64 rules of one block": {**ONE_BLOCK, "rules": ONE_BLOCK["rules"][:64]},
    "128 rules of one block": {**ONE_BLOCK, "rules": ONE_BLOCK["rules"][:128]},
    "256 rules of one block": ONE_BLOCK,
    "256 rules of one port": ONE_PORT,
    "256 rules of one percentage": _rules(*[{"source_percentage": (place + 1) / 4} for place in range(RULES)]),
    "256 rules of five fields": _rules(*[_five_fields(place) for place in range(RULES)]),
    "256 rules that overlap at random": _crossed(),
    "256 rules of 15 ports": _rules(
        *[{"destination_ports": [1 + place + RULES * step for step in range(15)]} for place in range(RULES)]
    ),
    "256 rules of 15 ports as text": _rules(
        *[{"destination_ports": [f"{1 + place + RULES * step}.0" for step in range(15)]} for place in range(RULES)]
    ),
    "256 rules of one port as text": _rules(*[{"destination_ports": [str(1000 + place)]} for place in range(RULES)]),
    "256 rules of the same 15 ranges": _rules(
        *[
            {
                "destination_ports": [f"{1 + 1000 * step}-{900 + 1000 * step}" for step in range(15)],
                "source_ports": [1 + place],
            }
            for place in range(RULES)
        ]
    ),
    "256 rules of 15 ranges that overlap": _rules(
        *[
            {"destination_ports": [f"{1 + 1000 * step + place}-{700 + 1000 * step + place}" for step in range(15)]}
            for place in range(RULES)
        ]
    ),
    "256 rules of 15 names": _rules(
        *[{"server_names": [f"n{place}-{step}.example" for step in range(15)]} for place in range(RULES)]
    ),
    "256 rules of 15 wildcards in capitals": _rules(
        *[{"server_names": [f"*.N{place}-{step}.Example" for step in range(15)]} for place in range(RULES)]
    ),
    "one rule of 8,190 wildcards": _rules({"server_names": [f"*.{i}.ab" for i in range(8_190)]}),
    "one rule of 8,190 ports and ranges in turn": _rules(
        {
            "source_ports": [
                4 * i + 1 if i % 2 else f"{4 * i + 1}-{4 * i + 3}" for i in [k * 7919 % 8_190 for k in range(8_190)]
            ]
        }
    ),
    "one rule of 8,190 ports in other forms": _rules(
        {"source_ports": [f"+{1 + i}" if i % 2 else f"{1 + i}e0" for i in range(8_190)]}
    ),
    "one rule of 8,190 blocks, some in other forms": _rules(
        {"source_cidrs": [f"10.{i >> 8}.{i & 255}.1{'' if i % 500 else '/032'}" for i in range(8_190)]}
    ),
    "one rule of 900 names of most characters": _rules(
        {"server_names": [f"{i:03}" + ".a" * 123 + ".bcd." for i in range(900)]}
    ),
    "256 rules of long names that are not ASCII": {
        "rules": [
            {
                "name": f"{place} " + "\u00fc" * 100,
                "match": {"source_ports": [1 + place]},
                "action": {"cluster": f"{place} " + "\u20ac" * 180},
            }
            for place in range(RULES)
        ]
    },
    "one rule of 8,190 blocks": _rules(
        {"source_cidrs": [f"{20 + (i >> 14)}.{i >> 6 & 255}.{i & 63}.1" for i in range(8_190)]}
    ),
    "256 rules of 16 lists that overlap": {
        **_rules(
            *[
                {"source_cidrs": [f"list:{place % 16}", f"list:{place // 16}"][: 1 + (place // 16 != place % 16)]}
                | {"source_ports": [1 + place]}
                for place in range(RULES)
            ]
        ),
        "cidr_lists": {
            str(i): {
                "cidrs": [f"10.{step}.{i * step % 256 & 256 - (1 << i % 8)}.0/{24 - i % 8}" for step in range(240)]
            }
            for i in range(16)
        },
    },
    "256 rules of a list of 3,990 blocks": {
        **_rules(*[{"source_cidrs": ["list:all"], "source_ports": [1 + place]} for place in range(RULES)]),
        "cidr_lists": {"all": {"cidrs": [f"{20 + (i >> 14)}.{i >> 6 & 255}.{i & 63}.1" for i in range(3_990)]}},
    },
}
"""By what a test calls them."""


def packed(count: int) -> Policy:
    """Returns two rules of a packed list of so many IPv4 networks, no two of them side by side."""
    blocks = [f"{1 + (i >> 15)}.{i >> 7 & 255}.{(i & 127) << 1}.0/24" for i in range(count)]
    matches = [{"source_cidrs": ["list:all"], "source_parity": "ODD"}, {"source_cidrs": ["list:all"]}]
    return {**_rules(*matches), "cidr_lists": {"all": {"packed": pack(blocks)}}}
