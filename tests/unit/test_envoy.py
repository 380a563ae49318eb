"""Envoy's foreign functions with types: what they are called with, and how a test host answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import proxy_wasm
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm import HostError, NotFoundError, RootContext, StreamContext, envoy
from proxy_wasm.testing.foreign import read_message
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Connection

PRIVATE, PUBLIC = "-----BEGIN PRIVATE KEY-----\n", b"-----BEGIN PUBLIC KEY-----\n"


@pytest.fixture
def connect() -> Iterator[Callable[[Callable[[], object]], Connection]]:
    """Does something in on_new_connection, and returns the connection."""
    vms: list[InProcess] = []

    def connect(do: Callable[[], object]) -> Connection:
        stream = type("Stream", (StreamContext,), {"on_new_connection": lambda self: do() and None})
        vms.append(InProcess(type("Root", (RootContext,), {"stream_context": stream})).__enter__())
        assert vms[-1].start()
        vms[-1].host.expressions = {"a": b"\1", "b": b"\0", "8": lambda: (8).to_bytes(8, "little")}
        connection = vms[-1].connection()
        connection.new_connection()
        assert not vms[-1].host.lines(4), vms[-1].host.lines(4)
        return connection

    yield connect
    for vm in reversed(vms):
        vm.__exit__(None, None, None)


Connect = Callable[[Callable[[], object]], Connection]


def test_a_cluster_is_chosen(connect: Connect) -> None:
    connection = connect(lambda: envoy.route_to("tls"))
    assert connection.cluster == "tls"
    ((_, name, argument),) = connection.vm.host.foreign_calls
    generated = SetEnvoyFilterStateArguments(path="envoy.tcp_proxy.cluster", value="tls").SerializeToString()
    assert (name, argument) == (b"set_envoy_filter_state", generated)
    assert connect(lambda: None).cluster is None


def test_many_clusters_are_not_kept_without_end(connect: Connect) -> None:
    connection = connect(lambda: list(map(envoy.route_to, map(str, range(1000)))))
    assert connection.cluster == "999" and len(envoy._routes) <= envoy._KEPT


def test_filter_state(connect: Connect) -> None:
    connection = connect(lambda: envoy.set_filter_state("envoy.string", "ü", envoy.LifeSpan.CONNECTION))
    assert connection.context.envoy_filter_state == {b"envoy.string": "ü".encode()}
    argument = connection.vm.host.foreign_calls[0][2]
    span = LifeSpan.DownstreamConnection
    assert argument == SetEnvoyFilterStateArguments(path="envoy.string", value="ü", span=span).SerializeToString()


def test_a_refusal_names_the_function(connect: Connect) -> None:
    def refused() -> None:
        for call, name in (
            (lambda: envoy.set_filter_state("mine", "x"), "set_envoy_filter_state"),
            (lambda: envoy.call("no_such"), "no_such"),
            (lambda: envoy.uncompress(b"x"), "uncompress"),
            (lambda: envoy.Expression("1 +"), "expr_create"),
        ):
            with pytest.raises(HostError, match=rf"proxy_call_foreign_function \({name}\): status"):
                call()

    connect(refused)


def test_expressions(connect: Connect) -> None:
    def evaluate() -> None:
        with envoy.Expression("a") as yes, envoy.Expression("b") as no, envoy.Expression("8") as eight:
            assert (yes.is_true(), no.is_true(), eight.number(), yes.evaluate()) == (True, False, 8, b"\1")
            with pytest.raises(TypeError, match="neither true nor false: 8"):
                eight.is_true()
            with pytest.raises(TypeError, match="no number: a"):
                yes.number()
        with pytest.raises(NotFoundError):
            yes.evaluate()

    connect(evaluate)


def test_compression_and_routes(connect: Connect) -> None:
    assert connect(envoy.clear_route_cache).context.routes_cleared == 1
    connect(lambda: proxy_wasm.info(envoy.uncompress(envoy.compress(b"a" * 1000))))


@pytest.mark.parametrize(
    ("answer", "given"), [(b"\x08\x01\x12\x03sig", b"sig"), (b"\x1a\x02no", "no"), (b"", "Envoy does not say why")]
)
def test_signing(connect: Connect, answer: bytes, given: bytes | str) -> None:
    def sign() -> None:
        proxy_wasm_host = vms[0].host
        proxy_wasm_host.foreign_functions[b"sign"] = lambda argument: answer
        if isinstance(given, bytes):
            assert envoy.sign("text", PRIVATE) == given
        else:
            with pytest.raises(ValueError, match=f"sign: {given}"):
                envoy.sign(b"text", b"DER", "sha512")

    vms: list[Any] = []
    with InProcess(type("Root", (RootContext,), {"on_tick": lambda self: sign()})) as vm:
        vms.append(vm)
        assert vm.start()
        vm.tick()
        assert not vm.host.lines(4), vm.host.lines(4)
        ((_, _, argument),) = vm.host.foreign_calls
    pem, der = {1: b"sha256", 3: b"text", 4: PRIVATE.encode()}, {1: b"sha512", 2: b"DER", 3: b"text"}
    assert read_message(argument) == (pem if isinstance(given, bytes) else der)


@pytest.mark.parametrize(("answer", "expected"), [(b"\x08\x01", True), (b"\x12\x02no", False)])
@pytest.mark.parametrize("key", [PUBLIC, b"DER"])
def test_verifying(answer: bytes, expected: bool, key: bytes) -> None:
    with InProcess(RootContext) as vm:
        assert vm.start()
        vm.host.foreign_functions[b"verify_signature"] = lambda argument: answer
        vm.host.context_id = vm.root.context_id
        assert envoy.verify_signature("text", b"sig", key) is expected
        ((_, _, argument),) = vm.host.foreign_calls
    field = 5 if key == PUBLIC else 2
    assert read_message(argument) == {1: b"sha256", 3: b"sig", 4: b"text", field: key}


def test_a_property_is_declared_once() -> None:
    with InProcess(RootContext) as vm:
        assert vm.start()
        vm.host.context_id = vm.root.context_id
        kind, span = envoy.PropertyType.STRING, envoy.LifeSpan.REQUEST
        envoy.declare_property("mine", kind, read_only=True, schema=b"s" * 300, span=span)
        with pytest.raises(HostError, match="declare_property"):
            envoy.declare_property("mine")
        assert read_message(vm.host.foreign_calls[0][2]) == {1: b"mine", 2: 1, 3: 1, 4: b"s" * 300, 5: 1}
