"""What the filter does all day: the build runs it, and compiles of CPython what it takes. The rest is interpreted.

A configuration is part of it. It happens seldom, but in each worker at once, and no connection of the worker moves meanwhile.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from filter.pack_cidrs import pack
from proxy_wasm import LogLevel
from proxy_wasm.testing import training

_BLOCKS = [f"{10 + i % 3}.{i}.0.0/{16 + i % 9}" for i in range(24)]
_SHORT = {
    "rules": [
        {
            "name": "blocked",
            "match": {"source_cidrs": ["203.0.113.0/24", "2001:db8:bad::/48"]},
            "action": {"reject": True},
        },
        {"match": {"destination_ports": [443], "source_parity": "ODD"}, "action": {"cluster": "outbound|{port}||odd"}},
        {"match": {"server_names": ["*.example.com"]}, "action": {"continue": True}},
        {"name": "canary", "match": {"source_percentage": 50}, "action": {"cluster": "canary"}},
    ],
    "default_action": {"cluster": "egress-router2"},
}
# What looks at the source's address alone runs no Python, but for what stays with `tcp_proxy`.
_BY_SOURCE: dict[str, Any] = {
    "rules": [
        {
            "name": "offices",
            "match": {"source_cidrs": ["198.51.100.0/24", "2001:db8:1::/48"]},
            "action": {"cluster": "offices"},
        },
        {"match": {"source_cidrs": ["203.0.113.0/24"]}, "action": {"continue": True}},
        *[{"match": {"source_cidrs": [block]}, "action": {"cluster": "egress-router1"}} for block in _BLOCKS],
        {"match": {"source_parity": "EVEN"}, "action": {"cluster": "egress-router1"}},
    ],
    "default_action": {"cluster": "egress-router2"},
}
_LONG: dict[str, Any] = {
    "cidr_lists": {
        "offices": {"cidrs": ["192.0.2.0/24", "198.51.100.7", "2001:db8:1::/48"]},
        "packed": {"packed": pack([*_BLOCKS, "2001:db8:2::/48", "2001:db8:4::/48"])},
    },
    "rules": [
        {
            "name": f"rule {place}",
            "match": {
                "source_cidrs": [block, f"2001:db8:{place:x}::/48", "list:offices", "list:packed"],
                "source_parity": ["EVEN", "ODD"][place % 2],
                "source_percentage": place + 0.5,
                "source_ports": ["1-1023", "4000-65535"],
                "destination_cidrs": ["127.0.0.0/8", "10.0.0.0/8", "::1"],
                "destination_ports": [443, "444.0", "445", 1000 + place, f"{2000 + place * 10}-{2009 + place * 10}"],
                "server_names": ["www.example.com", f"www{place}.example.com", f"*.www{place}.example.com"],
            },
            "action": {"cluster": f"router{place % 4}"},
        }
        for place, block in enumerate(_BLOCKS)
    ],
    "default_action": {"cluster": "egress-router2"},
    "failure_mode": "FAIL_CLOSED",
}
# Rules that overlap. In each group the last rule is one that the search for unreachable rules has to look at more closely.
_CROSSED: dict[str, Any] = {
    "rules": [
        {"match": match, "action": {"reject": True}}
        for place in range(48)
        for match in (
            {"destination_ports": [f"{1 + 10 * place}-{5 + 10 * place}"]},
            {"destination_ports": [f"{6 + 10 * place}-{9 + 10 * place}"], "source_cidrs": [f"{4 * place}.0.0.0/7"]},
            {"destination_ports": [f"{6 + 10 * place}-{9 + 10 * place}"], "source_percentage": 99 - place},
            {"destination_ports": [f"{1 + 10 * place}-{9 + 10 * place}"], "source_cidrs": [f"{4 * place}.0.0.0/6"]},
        )
    ]
}


def _many() -> dict[str, Any]:
    """As many rules as there may be, and lists of blocks: large numbers, large sorts, and garbage to look for."""
    rules: list[dict[str, Any]] = [
        {
            "match": {
                "source_cidrs": [f"10.{place}.0.0/16", f"172.{place // 8}.0.0/{16 + place % 12}"],
                "source_parity": ["EVEN", "ODD"][place % 2],
                "source_percentage": 1 + place % 99,
                "destination_ports": [1 + (place * 31 + step * 613) % 60000 for step in range(5)],
                "server_names": [f"{(place * 37 + step * 59) % 997}.{place}.example" for step in range(4)],
            },
            "action": {"cluster": f"router{place}"},
        }
        for place in range(250)
    ]
    lists = {f"list{i}": {"cidrs": [f"10.{i * 8 + step}.0.0/{24 - i}" for step in range(8)]} for i in range(8)}
    for place, name in enumerate(lists):
        rules[place]["match"]["source_cidrs"].append(f"list:{name}")
    return {"cidr_lists": lists, "rules": rules}


_MIXED = [place * 7919 % 1009 for place in range(500)]
# Each kind of value has a configuration to itself, in no order. One may consist of nothing else, and what reads that kind is hot then.
_OF_ONE_KIND: list[dict[str, Any]] = [
    {"rules": [{"match": match, "action": {"reject": True}}]}
    for match in (
        {"source_cidrs": [f"11.{i >> 8}.{i & 255}.1" for i in _MIXED]},
        {"server_names": [f"{i}.example" for i in _MIXED]},
        {"server_names": [f"*.n{i}.Example" for i in _MIXED]},
        {"source_ports": [20000 + i for i in _MIXED]},
        {"source_ports": [f"{30000 + i}.0" for i in _MIXED]},
        {"source_ports": [f"{1 + 2 * i}-{2 + 2 * i}" for i in _MIXED]},
    )
]


_COLLECTED = 4000
"""So many connections at once that CPython looks for garbage among what they hold."""
_USUAL = 2000
"""So many connections under the default rule, half of them with the log on, that what these run counts for more than what is rare.

As many are under rules that are a table.
"""
_UNREADABLE = (None, "", "/run/envoy.sock", b"999.1.1.1:80", b"[::1")
_PROPERTIES = {
    b"source\0port": (4711).to_bytes(8, "little"),
    b"destination\0address": b"127.0.0.1:443",
    b"destination\0port": (443).to_bytes(8, "little"),
    b"connection\0requested_server_name": b"www.example.com",
}


def _message(key: int, content: bytes) -> bytes:
    size, length = len(content), b""
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([key]) + length + bytes([size]) + content


def _fields(value: dict[str, Any]) -> bytes:
    return b"".join(
        _message(0x0A, _message(0x0A, name.encode()) + _message(0x12, _value(item))) for name, item in value.items()
    )


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _value(value: Any) -> bytes:
    if isinstance(value, dict):
        return _message(0x2A, _fields(value))
    if isinstance(value, list):
        return _message(0x32, b"".join([_message(0x0A, _value(item)) for item in value]))
    if isinstance(value, bool):
        return bytes([0x20, value])
    return _message(0x1A, value.encode()) if isinstance(value, str) else struct.pack("<Bd", 0x11, value)


_ALONE = [
    {
        "cidr_lists": _LONG["cidr_lists"],
        "rules": [
            {"match": {field: value}, "action": {"cluster": "some"}},
            {"name": "rest", "action": {"cluster": "rest"}},
        ],
    }
    for field, value in _LONG["rules"][0]["match"].items()
]
# Few rules, as names are seldom written like this.
_FOREIGN: dict[str, Any] = {
    "rules": [
        {
            "name": f"{i}" + "\u00fc" * 100,
            "match": {"source_ports": [1 + i]},
            "action": {"cluster": f"{i}" + "\u20ac" * 180},
        }
        for i in range(32)
    ]
}
# Both forms of each, but of those that take long to train, or that differ in their decisions only.
_SMALL = (b"standalone", b"istio", _text(_SHORT), _fields(_SHORT), _text(_BY_SOURCE))
_OFTEN = {_SMALL[0]: training.SOURCES[:2], _SMALL[-1]: (*training.SOURCES[:2], "198.51.100.7:1", "[2001:db8:1::7]:1")}
"""Sources of many connections, by the configuration."""
_LARGE = (
    *(_text(_LONG), _fields(_LONG), _fields(_many()), *map(_fields, (_FOREIGN, *_OF_ONE_KIND))),
    *map(_text, (_CROSSED, _FOREIGN, *_OF_ONE_KIND, *_ALONE)),
)


def train(module: bytes) -> Iterator[bytes]:
    """Has connections of every kind, for each kind of configuration, with the log on and off."""
    vm = training.start(module)
    vm.start(b"", b"standalone", b"envoy_tcp_routing_filter")
    training.configured(vm)
    for level in (LogLevel.INFO, LogLevel.ERROR):
        vm.host.log_level = level
        for configuration in _SMALL if level == LogLevel.INFO else (*_SMALL, *_LARGE):
            if not vm.configure(configuration):
                raise ValueError(f"the filter does not take {configuration!r}: {vm.host.lines()[-1:]}")
            yield training.seldom(vm)
            for source in (*training.SOURCES, "203.0.113.7:1", "10.1.2.3:4", *_UNREADABLE):
                connection = vm.connection(dict(_PROPERTIES), source)
                connection.new_connection()
                connection.close()
            if usual := _OFTEN.get(configuration):
                for source in usual * (_USUAL // 2 // len(usual)):
                    connection = vm.connection(source=source)
                    connection.new_connection()
                    connection.close()
            # Once is enough: it is for what happens when tables grow and shrink.
            if level == LogLevel.ERROR and configuration == _SMALL[0]:
                training.open_many(vm, training.SOURCES)
                for connection in [vm.connection(source=training.SOURCES[0]) for _ in range(_COLLECTED)]:
                    connection.close()
            yield vm.memory
