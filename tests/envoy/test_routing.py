"""Real connections through a real Envoy with four workers reach the router that the parity of their source asks for."""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from envoy.client import ask, has_ipv6, join, proxy_header
from envoy.configuration import BASELINE, MAIN, PROXY_PROTOCOL
from filter.address import packed
from filter.routing import STANDALONE, route
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm.testing.wasm import WasmModule
from tests.envoy.conftest import MODULE, ROUTERS, Stack, wait_for


def expected(address: str) -> str:
    return ROUTERS[ipaddress.ip_address(address).packed[-1] % 2]


@pytest.mark.parametrize("source", ["127.22.0.10", "127.22.0.11", "127.0.0.0", "127.255.255.254", "127.1.2.255"])
def test_ipv4(stack: Stack, source: str) -> None:
    assert ask(stack.envoy.listeners[MAIN], source=source)[0] == expected(source)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")
def test_ipv6(stack: Stack) -> None:
    assert ask(stack.envoy.listeners["main_ipv6"])[0] == "egress-router2"


@pytest.mark.parametrize(
    "source",
    ["172.22.0.10", "172.22.0.11", "2001:db8::a", "2001:db8::f", "::ffff:203.0.113.8", "::ffff:203.0.113.9", "::2"],
)
def test_a_proxy_header_gives_the_source(stack: Stack, source: str) -> None:
    assert ask(stack.envoy.listeners[PROXY_PROTOCOL], header=proxy_header(source))[0] == expected(source)


def test_a_random_source_goes_the_same_way_in_python_in_the_module_and_in_envoy(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(20)
    v4: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [
        ipaddress.IPv4Address(chance.getrandbits(32)) for _ in range(200)
    ]
    v6 = [ipaddress.IPv6Address(chance.getrandbits(128)) for _ in range(200)]
    mapped = [ipaddress.IPv6Address(f"::ffff:{address}") for address in v4[:50]]
    # Envoy refuses a PROXY header whose source is no unicast address.
    sources = [str(address) for address in (*v4, *v6, *mapped) if not address.is_multicast]
    assert len(sources) > 300
    module = WasmModule(MODULE)
    module.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
    assert module.start(configuration=b"standalone")
    routed = {plugin_message(cluster): cluster for cluster in ROUTERS}
    for source in sources:
        written = join(source, 40000)
        connection = module.connection(source=written)
        connection.new_connection()
        connection.close()
        _, _, message = module.host.foreign_calls[-1]
        reached = ask(stack.envoy.listeners[PROXY_PROTOCOL], header=proxy_header(source))[0]
        assert {reached, routed[message], route(packed(written.encode()), STANDALONE.clusters)} == {expected(source)}, (
            source
        )
    record_property("addresses", len(sources))
    record_property("ways", 3)
    record_property("misrouted", 0)


def plugin_message(cluster: str) -> bytes:
    """Returns what the filter hands to Envoy for a cluster."""
    arguments = SetEnvoyFilterStateArguments(path="envoy.tcp_proxy.cluster", value=cluster, span=LifeSpan.FilterChain)
    return arguments.SerializeToString()


def accepted_by_worker(stack: Stack) -> list[int]:
    statistics = stack.envoy.get("/stats?filter=^listener\\..*worker_.*downstream_cx_total&format=text")
    counts: dict[str, int] = {}
    for worker, count in re.findall(r"(worker_\d+)\.downstream_cx_total: (\d+)", statistics):
        counts[worker] = counts.get(worker, 0) + int(count)
    return [counts[worker] for worker in sorted(counts)]


def test_two_thousand_connections_over_four_workers(stack: Stack) -> None:
    sources = [f"127.22.{i // 250}.{i % 250 + 1}" for i in range(2000)]
    before = accepted_by_worker(stack)
    with ThreadPoolExecutor(16) as pool:
        reached = list(pool.map(lambda source: ask(stack.envoy.listeners[MAIN], source=source)[0], sources))
    assert reached == [expected(source) for source in sources]
    shares = [now - then for then, now in zip(before, accepted_by_worker(stack), strict=True)]
    assert len(shares) == 4
    assert sum(shares) >= 2000
    assert all(shares), f"a worker had no connection: {shares}"


def test_a_unix_socket_goes_to_the_default_cluster_with_a_warning(stack: Stack) -> None:
    assert ask(stack.unix_socket)[0] == "egress-router1"
    assert wait_for(lambda: any("[warning]" in line for line in stack.envoy.log_lines("[TCP WASM]")))


def test_the_log_line_is_the_examples(stack: Stack) -> None:
    for source, router in (("127.22.0.10", "egress-router1"), ("127.22.0.11", "egress-router2")):
        _, local = ask(stack.envoy.listeners[MAIN], source=source)
        line = f"[TCP WASM] Routed source {local} to {router}"
        assert wait_for(lambda line=line: any(found.endswith(line) for found in stack.envoy.log_lines(line)))  # type: ignore[misc]


def test_the_access_log_line_is_the_examples(stack: Stack) -> None:
    listener = stack.envoy.listeners[MAIN]
    _, local = ask(listener, source="127.22.0.11")
    pattern = re.compile(
        rf"\[\d{{4}}-\d\d-\d\dT[\d:.]+Z\] src={re.escape(local)} via={re.escape(join(*listener))} "
        rf"dst=127\.0\.0\.1:{stack.ports['egress-router2']} \(egress-router2\)"
    )
    assert wait_for(lambda: any(pattern.fullmatch(line) for line in stack.access_log.read_text().splitlines()))


def test_the_baseline_does_not_look_at_the_source(stack: Stack) -> None:
    for source in ("127.22.0.10", "127.22.0.11"):
        assert ask(stack.envoy.listeners[BASELINE], source=source)[0] == "egress-router1"


def test_nothing_of_this_wrote_an_error(stack: Stack) -> None:
    assert stack.errors() == []
