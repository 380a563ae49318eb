"""What the filter does all day: the build runs it, and compiles of CPython what it takes. The rest is interpreted."""

from __future__ import annotations

import json
from collections.abc import Iterator

from proxy_wasm import LogLevel
from proxy_wasm.testing import training

_RULES = {
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
_CONFIGURATIONS = (b"standalone", b"istio", json.dumps(_RULES).encode())
_UNREADABLE = (None, "", "/run/envoy.sock", "999.1.1.1:80", "[::1")
_PROPERTIES = {b"destination\0port": (443).to_bytes(8, "little")}
_PROPERTIES |= {b"connection\0requested_server_name": b"www.example.com"}


def train(module: bytes) -> Iterator[bytes]:
    """Has connections of every kind, for each kind of configuration, with the log on and off."""
    vm = training.start(module)
    vm.start(b"", b"standalone", b"envoy_tcp_routing_filter")
    for level in (LogLevel.INFO, LogLevel.ERROR):
        vm.host.log_level = level
        for configuration in _CONFIGURATIONS:
            if not vm.configure(configuration):
                raise ValueError(f"the filter does not take {configuration!r}: {vm.host.lines()[-1:]}")
            training.configured(vm)
            for source in (*training.SOURCES, "203.0.113.7:1", "10.1.2.3:4", *_UNREADABLE):
                connection = vm.connection(dict(_PROPERTIES), source)
                connection.new_connection()
                connection.close()
            training.open_many(vm, training.SOURCES)
            yield vm.memory
