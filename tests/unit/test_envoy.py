"""Envoy's foreign functions with types: what they are called with, and how a test host answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import proxy_wasm
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm import HostError, NotFoundError, RootContext, StreamContext, envoy
from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.inprocess import InProcess
from tests.unit.test_proto import Generated

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


def declared_twice() -> None:
    for _ in range(2):
        envoy.declare_property("declared")


def test_a_refusal_names_the_function(connect: Connect) -> None:
    def refused() -> None:
        for call, name in (
            (lambda: envoy.set_filter_state("mine", "x"), "set_envoy_filter_state, mine"),
            (lambda: envoy.set_filter_state(b"mine", "x"), "set_envoy_filter_state, mine"),
            (declared_twice, "declare_property, declared"),
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


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The messages of proto/envoy_functions.proto, by the project's generator and by protobuf's own."""
    return Generated("proto/envoy_functions.proto", tmp_path_factory.mktemp("envoy_functions"))


def called(name: bytes, answer: bytes, call: Callable[[], object]) -> tuple[bytes, object]:
    """Returns what a foreign function got from a call, and what the call gave."""
    with InProcess(RootContext) as vm:
        assert vm.start()
        vm.host.foreign_functions[name] = lambda argument: answer
        vm.host.context_id = vm.root.context_id
        try:
            given: object = call()
        except ValueError as error:
            given = str(error)
        ((_, _, argument),) = vm.host.foreign_calls
    return argument, given


@pytest.mark.parametrize("key", [PRIVATE, b"DER" * 100])
@pytest.mark.parametrize("result", [{"result": True, "signature": b"sig" * 50}, {"error": "no"}, {}])
def test_signing(messages: Any, key: str | bytes, result: dict[str, Any]) -> None:
    answer = messages.official.SignResult(**result).SerializeToString()
    argument, given = called(b"sign", answer, lambda: envoy.sign("text", key, "sha512"))
    field = "private_key_pem" if key == PRIVATE else "private_key"
    fields = {"hash_function": "sha512", field: key, "text": b"text"}
    assert argument == messages.ours.SignArguments(**fields).SerializeToString()
    assert given == result.get("signature", f"sign: {result.get('error', 'Envoy does not say why')}")


@pytest.mark.parametrize("key", [PUBLIC, b"DER" * 100])
@pytest.mark.parametrize("result", [{"result": True}, {"error": "no"}])
def test_verifying(messages: Any, key: bytes, result: dict[str, Any]) -> None:
    answer = messages.official.VerifySignatureResult(**result).SerializeToString()
    argument, given = called(b"verify_signature", answer, lambda: envoy.verify_signature(b"text", b"sig", key))
    of_key = {"public_key_pem": key.decode()} if key == PUBLIC else {"public_key": key}
    fields = {"hash_function": "sha256", "signature": b"sig", "text": b"text", **of_key}
    assert argument == messages.ours.VerifySignatureArguments(**fields).SerializeToString()
    assert given == result.get("result", False)


@pytest.mark.parametrize("kind", envoy.PropertyType)
@pytest.mark.parametrize("span", envoy.LifeSpan)
def test_declaring(messages: Any, kind: envoy.PropertyType, span: envoy.LifeSpan) -> None:
    argument, _ = called(
        b"declare_property",
        b"",
        lambda: envoy.declare_property("mine", kind, read_only=True, schema=b"s" * 300, span=span),
    )
    fields = {"name": "mine", "readonly": True, "type": kind, "schema": b"s" * 300, "span": span}
    assert argument == messages.ours.DeclarePropertyArguments(**fields).SerializeToString()


def test_a_property_is_declared_once() -> None:
    with InProcess(RootContext) as vm:
        assert vm.start()
        vm.host.context_id = vm.root.context_id
        envoy.declare_property("mine")
        with pytest.raises(HostError, match="declare_property"):
            envoy.declare_property("mine")
