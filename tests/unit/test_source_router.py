"""A router in this process: what an author says, and what is then done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, RootContext, _dispatch
from proxy_wasm.routing import SourceRouter, SourceTable
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import HostStatus


def parity(source: bytes, clusters: tuple[str, str]) -> str | None:
    return clusters[source[-1] % 2]


class Plugin(proxy_wasm.RootContext):
    stream_context = SourceRouter(parity, ("even", "odd"))
    failure_policy = FailurePolicy.CLOSE


@pytest.fixture
def vm() -> Iterator[InProcess]:
    with InProcess(Plugin) as vm:
        assert vm.start()
        yield vm


def root_of(vm: InProcess) -> RootContext:
    return _dispatch.roots[vm.root.context_id]


def test_a_router_of_the_class_is_all_that_there_is(vm: InProcess) -> None:
    assert "proxy_on_new_connection" in vm.exports and "proxy_on_downstream_data" not in vm.exports
    for source, cluster in (("10.0.0.2:1", "even"), ("10.0.0.3:1", "odd"), ("[::ffff:10.0.0.2]:1", "even")):
        connection = vm.connection(source=source)
        assert connection.new_connection() == Action.CONTINUE
        assert connection.cluster == cluster
        connection.close()
    assert not vm.host.metrics


@pytest.mark.parametrize("source", [None, "", "/run/x.sock"])
def test_without_an_address_tcp_proxys_cluster_stays(vm: InProcess, source: str | None) -> None:
    connection = vm.connection(source=source)
    assert connection.new_connection() == Action.CONTINUE
    assert connection.cluster is None


def test_a_function_that_fails_is_left_to_the_failure_policy(vm: InProcess) -> None:
    root_of(vm).stream_context = SourceRouter(lambda source, argument: str(1 / argument), 0)
    connection = vm.connection(source="10.0.0.2:1")
    assert connection.new_connection() == Action.PAUSE
    assert connection.context.closed
    assert any(line.endswith("ZeroDivisionError: division by zero") for line in vm.host.lines())


@pytest.mark.parametrize("returned", [7, ("even", "odd")])
def test_a_function_that_returns_no_cluster_is_told_what_it_returned(vm: InProcess, returned: Any) -> None:
    root_of(vm).stream_context = SourceRouter(lambda source, argument: returned)
    assert vm.connection(source="10.0.0.2:1").new_connection() == Action.PAUSE
    assert vm.host.lines()[-1].endswith(f"TypeError: choose: {returned!r} must be a cluster, None or an action")


def test_a_configuration_may_bring_another_router_or_a_class(vm: InProcess) -> None:
    class Paused(proxy_wasm.StreamContext):
        def on_new_connection(self) -> Action:
            return Action.PAUSE

    told: list[tuple[bytes, str]] = []
    root_of(vm).stream_context = SourceRouter(
        lambda source, argument: "other", routed=lambda *where: told.append(where)
    )
    connection = vm.connection(source="10.0.0.2:1")
    assert connection.new_connection() == Action.CONTINUE
    assert (connection.cluster, told) == ("other", [(b"10.0.0.2:1", "other")])
    root_of(vm).stream_context = Paused
    assert vm.connection(source="10.0.0.2:1").new_connection() == Action.PAUSE


def test_a_function_may_see_to_a_connection_itself(vm: InProcess) -> None:
    def choose(source: bytes, argument: object) -> Action:
        proxy_wasm.close_downstream()
        return Action.PAUSE

    root_of(vm).stream_context = SourceRouter(choose)
    connection = vm.connection(source="10.0.0.2:1")
    assert connection.new_connection() == Action.PAUSE
    assert connection.context.closed and connection.cluster is None


def test_a_line_for_the_log(vm: InProcess) -> None:
    root_of(vm).stream_context = SourceRouter(parity, ("even", "odd"), routed=b"%b went to %b")
    vm.connection(source="10.0.0.2:1").new_connection()
    assert vm.host.lines() == ["10.0.0.2:1 went to even"]


@pytest.mark.parametrize("line", [b"", b"%b", b"%b %b %b", b"%b %b %", b"%s %b"])
def test_a_line_has_an_address_and_a_cluster(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"routed: .* must have %b for the address and %b for the cluster"):
        SourceRouter(parity, ("even", "odd"), routed=line)


def test_what_a_module_does_itself_cannot_be_overridden() -> None:
    with pytest.raises(TypeError, match=r"Mine\.connect would not be called"):
        type("Mine", (SourceRouter,), {"connect": lambda self: None})


def ask(source: bytes, argument: object) -> str:
    return f"asked {argument}"


class Pair(NamedTuple):
    even: str
    odd: str


INSIDE = [0x0A000000, 0x0B000000]


@pytest.mark.parametrize(
    ("source", "cluster"),
    [
        ("9.255.255.255", "outside"),
        ("10.0.0.0", "even"),
        ("10.255.255.255", "odd"),
        ("11.0.0.0", "asked it"),
        ("255.255.255.255", "asked it"),
        ("::", "ipv6"),
        ("::ffff:10.0.0.1", "odd"),
        ("2001:db8::1", "asked it"),
        ("2001:db8::2", "documents"),
    ],
)
def test_a_table_knows_blocks_of_both_families(vm: InProcess, source: str, cluster: str) -> None:
    documents = 0x20010DB8 << 96
    table = SourceTable((INSIDE, ["outside", ("even", "odd"), None]), ([documents], ["ipv6", ("documents", None)]), ask)
    root_of(vm).stream_context = SourceRouter(table, "it")
    connection = vm.connection(source=f"[{source}]:1" if ":" in source else f"{source}:1")
    assert connection.new_connection() == Action.CONTINUE
    assert connection.cluster == cluster


def test_a_table_without_a_function_leaves_the_rest_to_tcp_proxy(vm: InProcess) -> None:
    root_of(vm).stream_context = SourceRouter(SourceTable((INSIDE, (None, "inside", None))))
    clusters = []
    for source in ("9.0.0.1:1", "10.0.0.1:1", "[::1]:1"):
        connection = vm.connection(source=source)
        assert connection.new_connection() == Action.CONTINUE
        clusters.append(connection.cluster)
    assert clusters == [None, "inside", None]


def test_the_value_behind_the_last_of_equal_addresses_counts() -> None:
    assert SourceTable(([7, 7], ("below", "nowhere", "above")))(b"\0\0\0\7") == "above"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ((([7], ("a",)),), ValueError, "ipv4: 1 addresses must have one value more, not 1"),
        ((([], ()),), ValueError, "ipv4: 0 addresses must have one value more, not 0"),
        ((([7, 5], ("a", "b", "c")),), ValueError, "ipv4: the addresses must ascend"),
        ((([1 << 32], ("a", "b")),), ValueError, "ipv4: an address has at most 32 bits, and no sign"),
        ((([-1], ("a", "b")),), ValueError, "ipv4: an address has at most 32 bits, and no sign"),
        ((([], "a"), ([1 << 128], ("a", "b"))), ValueError, "ipv6: an address has at most 128 bits, and no sign"),
        ((([b"1234"], ("a", "b")),), TypeError, "descriptor 'to_bytes' for 'int'"),
        ((([], (7,)),), TypeError, "ipv4: 7 must be a cluster, two of them, or None"),
        ((([], (["a"],)),), TypeError, r"ipv4: \['a'\] must be a cluster, two of them, or None"),
        ((([], (("a", "b", "c"),)),), TypeError, r"ipv4: \('a', 'b', 'c'\) must be a cluster, two of them, or None"),
        ((([], (("a", 7),)),), TypeError, r"ipv4: \('a', 7\) must be a cluster, two of them, or None"),
        (
            (([7], (("a", "b"), Pair("a", "b"))),),
            TypeError,
            r"ipv4: Pair\(even='a', odd='b'\) must be a cluster, two of them, or None",
        ),
        ((([], (None,)), ([], (None,)), "ask"), TypeError, "otherwise: 'ask' must be a function, or None"),
    ],
)
def test_a_table_is_looked_at_when_it_is_made(arguments: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        SourceTable(*arguments)


class Told(SourceRouter):
    def property_of(self, cluster: str) -> tuple[bytes, bytes] | None:
        return (b"mine.rule", f"to {cluster}".encode()) if cluster == "even" else None


def test_a_property_tells_of_a_cluster(vm: InProcess) -> None:
    root_of(vm).stream_context = Told(parity, ("even", "odd"))
    told = []
    for source in ("10.0.0.2:1", "10.0.0.3:1"):
        connection = vm.connection(source=source)
        connection.new_connection()
        told.append(dict(connection.context.filter_state))
    assert [one.get(b"mine.rule") for one in told] == [b"to even", None]


def test_a_property_that_is_refused_is_not_set_again(vm: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(path: bytes, value: bytes) -> None:
        asked.append(path)
        raise HostStatus("INTERNAL_FAILURE")

    monkeypatch.setattr(vm.host, "proxy_set_property", refuse)
    root_of(vm).stream_context = Told(parity, ("even", "odd"))
    for _ in range(2):
        connection = vm.connection(source="10.0.0.2:1")
        assert connection.new_connection() == Action.CONTINUE
        assert connection.cluster == "even"
    assert asked == [b"mine.rule"]
