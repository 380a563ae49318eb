"""What an operator sees of configured rules on a real Envoy: counters, and what becomes of a connection without an address."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from envoy.client import ask
from tests.envoy.policies import FIRST, INSIDE, OUTSIDE, REJECTED, SECOND, Stack, running, socket_path


@pytest.fixture(scope="module")
def stack(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(ports, tmp_path_factory.mktemp("envoy")) as running_stack:
        yield running_stack


def test_a_connection_without_an_address_fails_open_or_closed_as_configured(stack: Stack) -> None:
    before = stack.count("unparsed")
    assert ask(socket_path("FAIL_OPEN"))[0] == FIRST
    assert ask(socket_path("FAIL_CLOSED"))[0] == REJECTED
    assert stack.count("unparsed") - before == 2
    # Where no rule looks at the source, none need be there.
    assert ask(socket_path("sourceless"))[0] == SECOND
    assert stack.count("unparsed") - before == 2


def test_connections_are_counted_by_what_became_of_them(stack: Stack) -> None:
    counters = [
        f"routed.{FIRST}",
        f"routed.{SECOND}",
        "routed.port|{port}|",
        "continued",
        "rejected",
        "unparsed",
        "failed",
    ]

    def counts() -> dict[str, int]:
        lines = stack.envoy.get("/stats?filter=wasmcustom&format=text").splitlines()
        found = dict(line.removeprefix("wasmcustom.tcp_routing.").rsplit(": ", 1) for line in lines)
        return {name: int(found[name]) for name in counters}

    before = counts()
    for times, (source, port) in enumerate(
        [(OUTSIDE, 80), (INSIDE, 80), (OUTSIDE, 81), (OUTSIDE, 7), ("203.0.113.9", 80)], 1
    ):
        for _ in range(times):
            stack.connect("policy", source, 30_000, port)
    made = {name: count - before[name] for name, count in counts().items()}
    assert list(made.values()) == [1, 2, 3, 4, 5, 0, 0]
    assert stack.count("failed") == 0


def test_prometheus_has_the_clusters_as_a_label(stack: Stack) -> None:
    stack.connect("policy", OUTSIDE)
    text = stack.envoy.get("/stats/prometheus?filter=wasmcustom")
    number = stack.count(f"routed.{FIRST}")
    assert "# TYPE tcp_routing_routed counter" in text
    assert re.search(rf'^tcp_routing_routed\{{cluster="{FIRST}"\}} {number}$', text, re.MULTILINE)
    assert re.search(r'^tcp_routing_routed\{cluster="port\|\{port\}\|"\} \d+$', text, re.MULTILINE)
    for outcome in ("continued", "rejected", "unparsed", "failed"):
        assert re.search(rf"^tcp_routing_{outcome}\{{\}} \d+$", text, re.MULTILINE)


def test_a_counter_has_the_clusters_name_as_envoys_own_counters_have_it(stack: Stack) -> None:
    assert stack.connect("colons", OUTSIDE) == SECOND
    own = stack.envoy.get("/stats/prometheus?filter=upstream_cx_total")
    ours = stack.envoy.get("/stats/prometheus?filter=wasmcustom")
    [label] = re.findall(r'envoy_cluster_name="(tcp_back[^"]*)"', own)
    assert label == "tcp_back_8080_x"
    assert f'tcp_routing_routed{{cluster="{label}"}} 1' in ours
    assert stack.envoy.counter(f"cluster.{label}.upstream_cx_total") == 1
    assert stack.count(f"routed.{label}") == 1


def test_nothing_of_this_wrote_an_error(stack: Stack) -> None:
    assert [line for line in stack.envoy.log_lines() if "[error]" in line or "[critical]" in line] == []
