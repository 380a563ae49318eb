"""`http.call`: each answer comes to its function, in the name of the context that asked, or to nobody."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpAnswer, HttpContext, RootContext, StreamContext, http
from proxy_wasm.testing.inprocess import InProcess

HEADERS = {":method": "GET", ":path": "/", ":authority": "authz"}


class Asking(HttpContext):
    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action:
        http.call("authz", HEADERS, self.checked, b"body", {"x": "y"}, timeout_milliseconds=200)
        return Action.PAUSE

    def checked(self, answer: HttpAnswer) -> None:
        if answer.failed:
            raise RuntimeError("nobody answered")
        self.request_headers["x-checked"] = b"%d" % answer.status
        self.continue_request()


class Connection(StreamContext):
    def on_new_connection(self) -> Action:
        http.call("authz", HEADERS, self.first)
        return Action.PAUSE

    def first(self, answer: HttpAnswer) -> None:
        http.call("authz", HEADERS, lambda answer: proxy_wasm.continue_downstream())


class Root(RootContext):
    http_context = Asking
    stream_context = Connection
    failure_policy = FailurePolicy.CLOSE

    def on_tick(self) -> None:
        http.call("authz", HEADERS, lambda answer: print("root", answer.body))
        proxy_wasm.http_call("authz", HEADERS)

    def on_http_call_response(self, call: int, *sizes: int) -> None:
        print("method", call)


@pytest.fixture
def vm() -> Iterator[InProcess]:
    with InProcess(Root) as vm:
        assert vm.start()
        yield vm
    assert not http._answered


def test_a_request_waits_for_its_answer(vm: InProcess) -> None:
    one, other = vm.exchange(), vm.exchange()
    one.request()
    other.request()
    first, second = vm.host.http_calls
    made = vm.host.http_calls[first]
    assert (made.body, made.trailers, made.timeout_milliseconds) == (b"body", [(b"x", b"y")], 200)
    vm.http_call_response(second, {":status": "201"})
    assert (one.upstream.headers, other.upstream.header("x-checked")) == (None, b"201")
    vm.http_call_failure(first)
    assert one.downstream.status == 500 and "RuntimeError: nobody answered" in vm.host.lines(4)[-1]


def test_an_answer_may_ask_again(vm: InProcess) -> None:
    connection = vm.connection()
    connection.new_connection()
    for _ in range(2):
        assert not connection.goes_on
        vm.http_call_response(list(vm.host.http_calls)[-1], {":status": "200"})
    assert connection.goes_on


def test_who_is_gone_hears_of_nothing(vm: InProcess) -> None:
    exchange = vm.exchange()
    exchange.request()
    exchange.close()
    assert not http._answered
    vm.http_call_response(next(iter(vm.host.http_calls)), {":status": "200"})
    assert not vm.host.lines(4)


def test_a_root_asks_in_both_ways(vm: InProcess) -> None:
    vm.tick()
    first, second = vm.host.http_calls
    vm.http_call_response(second, {":status": "200"})
    vm.http_call_response(first, {":status": "200"}, b"b")
    assert vm.host.lines() == [f"method {second}", "root b'b'"]


@pytest.mark.parametrize("imported", [{"http": http}, {"ask": http.call}, {}])
def test_a_module_that_imports_it_has_the_callback(monkeypatch: pytest.MonkeyPatch, imported: dict[str, Any]) -> None:
    module = types.ModuleType("a_filter")
    vars(module).update(imported)
    monkeypatch.setitem(sys.modules, "a_filter", module)
    with InProcess(type("Root", (RootContext,), {"__module__": "a_filter"})) as vm:
        assert ("proxy_on_http_call_response" in vm.exports) == bool(imported)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_function_for_an_answer_that_is_async_def_is_an_error() -> None:
    async def checked(answer: HttpAnswer) -> None:
        raise AssertionError("nobody runs this")

    class Waiting(RootContext):
        def on_tick(self) -> None:
            http.call("authz", HEADERS, checked)

    with InProcess(Waiting) as vm:
        vm.start()
        vm.tick()
        vm.answer(200)
        (failure,) = vm.take_failures()
        assert "checked is async def, and nothing awaits it: make it a plain def" in failure
