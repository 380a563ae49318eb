"""The plugin's configuration: whatever the bytes, it is read, and can then decide, or refused in one printable line."""

from __future__ import annotations

from filter.configuration import read_configuration
from filter.policy import Policy
from filter.readers import ConfigurationError
from filter.routing import route

_LONGEST_LINE = 1000
_SOURCES = [bytes(4), b"\n\0\0\1", b"\xff" * 4, bytes(16), b"\x20\x01\x0d\xb8" + b"\xff" * 12]


def check(data: bytes) -> None:
    """Reads `data` as a configuration and asks it; raises AssertionError where the contract does not hold."""
    try:
        read = read_configuration(data)
    except ConfigurationError as error:
        line = str(error)
        assert line.isprintable() and line.isascii(), line
        assert 0 < len(line) <= _LONGEST_LINE, line
        return
    assert read.describe().isprintable()
    clusters = read.all_clusters()
    if not isinstance(read, Policy):
        assert route(b"\x0a\0\0\1", read.clusters_at(80)) in clusters
        return
    for source in _SOURCES:
        for port, name in ((0, ""), (80, "www.example.com")):
            rule = read.decide(source, port, name, destination=source, source_port=port)
            assert rule is read.default or rule in read.rules
            assert rule.action.cluster is None or rule.action.cluster in clusters
