"""A router in this process: what an author says, and what is then done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, RootContext, _dispatch
from proxy_wasm.routing import SourceRouter
from proxy_wasm.testing.inprocess import InProcess


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
