"""gRPC calls that are awaited: the answer, the failure, the end of the request before either, and what is refused at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpContext, RootContext, _await, _grpc, _http, gather, grpc
from proxy_wasm.testing.inprocess import InProcess


class Request(HttpContext):
    async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        answer = await grpc.unary("authz", "Authz", "Check", b"who", metadata={"x-id": "1"}, timeout=0.2)
        print(answer.status, answer.message, answer.body)
        if answer.body == b"raise":
            raise RuntimeError("on purpose")
        return self.send_response(403, grpc_status=answer.status) if answer.failed else None


class Plugin(RootContext):
    http_context: type[HttpContext] = Request
    failure_policy = FailurePolicy.CLOSE


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not (_await.PENDING or _grpc._open or _http.callers)


@pytest.fixture
def vm() -> Iterator[InProcess]:
    with InProcess(Plugin) as vm:
        assert vm.start()
        yield vm


def test_a_request_waits_for_a_message(vm: InProcess) -> None:
    exchange = vm.exchange()
    exchange.request()
    assert vm.host.lines() == []
    ((call, made),) = vm.host.grpc_calls.items()
    assert (made.cluster, made.service, made.method, made.messages) == (b"authz", b"Authz", b"Check", [b"who"])
    vm.grpc_receive(call, b"you")
    assert exchange.upstream.headers is not None
    assert vm.host.lines() == ["0  b'you'"]
    exchange.close()


def test_a_failure_is_an_answer(vm: InProcess) -> None:
    exchange = vm.exchange()
    exchange.request()
    (call,) = vm.host.grpc_calls
    vm.grpc_close(call, 14, b"unavailable")
    assert (exchange.upstream.headers, exchange.downstream.status) == (None, 403)
    assert vm.host.lines() == ["14 unavailable b''"]
    exchange.close()


def test_what_raises_afterwards_is_for_the_policy(vm: InProcess) -> None:
    exchange = vm.exchange()
    exchange.request()
    (call,) = vm.host.grpc_calls
    vm.grpc_receive(call, b"raise")
    assert exchange.downstream.status == 500
    assert vm.host.lines(4)[-1] == "proxy_on_request_headers (context 2): RuntimeError: on purpose"
    exchange.close()


def test_a_call_is_cancelled_with_its_request(vm: InProcess) -> None:
    exchange = vm.exchange()
    exchange.request()
    (call,) = vm.host.grpc_calls
    exchange.close()
    assert vm.host.grpc_calls[call].cancelled
    assert vm.host.logs == []


def test_calls_of_both_kinds_at_once_and_one_that_comes_too_late() -> None:
    class Both(Request):
        async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
            try:
                one, two = await gather(grpc.unary("authz", "Authz", "Check"), self.fetch("authz"))
                print(one.body, two.body)
            finally:
                await grpc.unary("audit", "Audit", "Log")
            return None

    with InProcess(type("Root", (Plugin,), {"http_context": Both})) as vm:
        assert vm.start()
        exchange = vm.exchange()
        exchange.request()
        (call,) = vm.host.grpc_calls
        vm.grpc_receive(call, b"1")
        vm.http_call_response(next(iter(vm.host.http_calls)), [(b":status", b"200")], b"2")
        assert vm.host.lines() == ["b'1' b'2'"]
        exchange.close()
        exchange = vm.exchange()
        exchange.request()
        exchange.close()
        assert vm.host.lines(4)[-1].endswith("RuntimeError: coroutine ignored GeneratorExit")


def test_what_is_refused_at_once() -> None:
    class Refused(Request):
        async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
            with pytest.raises(ValueError, match="timeout must be more than 0 seconds, not 0"):
                await grpc.unary("authz", "Authz", "Check", timeout=0)
            with pytest.raises(proxy_wasm.ParseFailureError):
                await grpc.unary("none", "Authz", "Check")
            return None

    with InProcess(type("Root", (Plugin,), {"http_context": Refused})) as vm:
        vm.host.clusters = {b"authz"}
        assert vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert (exchange.upstream.headers is not None, vm.host.logs) == (True, [])
        exchange.close()
