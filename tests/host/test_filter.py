"""The built filter in a Proxy-Wasm host on wasmtime: what it tells the host for each source address."""

from __future__ import annotations

import ipaddress
import random
from pathlib import Path

import pytest

from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm.testing.wasm import WasmModule
from proxy_wasm.testing.workers import Workers

MODULE = Path("filter/filter.wasm")
INFO, WARN, ERROR = 2, 3, 4
ROUTERS = ("egress-router1", "egress-router2")


def start(cache: Path, configuration: bytes = b"standalone") -> WasmModule:
    vm = WasmModule(MODULE, cache=cache)
    vm.host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
    assert vm.start(b"", configuration, b"envoy_tcp_routing_filter")
    vm.host.logs.clear()
    return vm


@pytest.fixture
def vm(cache: Path) -> WasmModule:
    return start(cache)


def message(cluster: str) -> bytes:
    # tests/unit holds this encoder against protobuf's own runtime, byte for byte.
    return SetEnvoyFilterStateArguments(
        path="envoy.tcp_proxy.cluster", value=cluster, span=LifeSpan.FilterChain
    ).SerializeToString()


def route(vm: WasmModule, source: str | None, port: int | None = None) -> list[bytes]:
    """Makes one connection and returns the arguments of its calls of set_envoy_filter_state."""
    properties = {} if port is None else {b"destination\0port": port.to_bytes(8, "little")}
    connection = vm.connection(properties, source=source and source.encode())
    assert connection.new_connection() == 0
    connection.close()
    calls = [argument for _, name, argument in vm.host.foreign_calls if name == b"set_envoy_filter_state"]
    vm.host.foreign_calls.clear()
    return calls


@pytest.mark.parametrize(
    ("source", "router"),
    [
        ("172.22.0.10:42148", 0),
        ("172.22.0.11:35736", 1),
        ("10.0.0.2", 0),
        ("[2001:db8::3]:8080", 1),
        ("[::1]:57246", 1),
        ("2001:db8::2", 0),
        ("[::ffff:203.0.113.9]:5555", 1),
        ("[fe80::a%eth0]:1", 0),
    ],
)
def test_the_parity_of_the_last_byte_chooses(vm: WasmModule, source: str, router: int) -> None:
    assert route(vm, source) == [message(ROUTERS[router])]


def test_random_addresses_go_where_ipaddress_says(vm: WasmModule) -> None:
    chance = random.Random(1)
    for _ in range(300):
        four, six = ipaddress.IPv4Address(chance.getrandbits(32)), ipaddress.IPv6Address(chance.getrandbits(128))
        assert route(vm, f"{four}:1234") == [message(ROUTERS[four.packed[-1] % 2])]
        assert route(vm, f"[{six}]:1234") == [message(ROUTERS[six.packed[-1] % 2])]


@pytest.mark.parametrize("source", [None, "", "/run/envoy.sock", "999.1.1.1:80", "1.2.3:80", "[::1", "@abstract"])
def test_what_cannot_be_parsed_goes_on_with_a_warning(vm: WasmModule, source: str | None) -> None:
    assert route(vm, source) == []
    assert len(vm.host.lines(WARN)) == 1
    assert vm.host.lines(ERROR) == []


def test_the_log_line_is_the_examples(vm: WasmModule) -> None:
    route(vm, "172.22.0.10:42148")
    assert vm.host.logs == [(INFO, "[TCP WASM] Routed source 172.22.0.10:42148 to egress-router1")]


def test_istio_has_clusters_of_its_own(cache: Path) -> None:
    vm = start(cache, b"istio")
    suffix = "default.svc.cluster.local"
    assert route(vm, "172.22.0.10:1", 443) == [message(f"outbound|8080||egress-router1.{suffix}")]
    assert route(vm, "172.22.0.11:1", 8080) == [message(f"outbound|8080||egress-router2.{suffix}")]
    assert route(vm, "172.22.0.11:1", 80) == [message(f"outbound|8081||egress-router2.{suffix}")]
    assert route(vm, "172.22.0.11:1") == [message(f"outbound|8080||egress-router2.{suffix}")]


def test_an_unknown_configuration_is_refused_by_name(cache: Path) -> None:
    vm = WasmModule(MODULE, cache=cache)
    assert not vm.start(b"", b"elsewhere")
    assert "elsewhere" in vm.host.lines(ERROR)[-1]


def test_a_refused_foreign_function_is_logged_and_the_connection_goes_on(vm: WasmModule) -> None:
    del vm.host.foreign_functions[b"set_envoy_filter_state"]
    connection = vm.connection(source="172.22.0.10:1")
    assert connection.new_connection() == 0
    assert "egress-router1" in vm.host.lines(ERROR)[0]


def test_only_what_the_filter_overrides_is_exported(vm: WasmModule) -> None:
    callbacks = {name for name in vm.exports if name.startswith("proxy_on_")} - {"proxy_on_memory_allocate"}
    assert callbacks == {
        "proxy_on_context_create",
        "proxy_on_vm_start",
        "proxy_on_configure",
        "proxy_on_new_connection",
        "proxy_on_delete",
    }


def test_workers_count_in_one_counter(cache: Path) -> None:
    with Workers(lambda host: WasmModule(MODULE, host, cache=cache), 2) as workers:
        assert workers.start(b"", b"standalone", b"envoy_tcp_routing_filter")
        for vm in workers:
            assert vm.connection(source="10.0.0.2:4711").new_connection() == 0
            assert vm.host.lines()[1:] == ["[TCP WASM] Routed source 10.0.0.2:4711 to egress-router1"]
        counts = {metric.name: metric.value for metric in workers[0].host.metrics.values()}
        assert counts[b"tcp_routing.routed.egress-router1"] == 2


def test_memory_stays_flat_over_20_000_connections(vm: WasmModule) -> None:
    # Four bytes lost a connection would be a page more; the soak has the million.
    def connect(count: int) -> None:
        for i in range(count):
            connection = vm.connection(source=f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}:4711")
            connection.new_connection()
            connection.close()
            vm.host.logs.clear()
            vm.host.foreign_calls.clear()

    connect(5_000)
    pages = vm.memory_pages
    connect(20_000)
    assert vm.memory_pages == pages
