"""HTTP contexts: what would end Envoy is an exception, and the failure policy holds in each callback."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import pytest

import proxy_wasm
from proxy_wasm import Action, HttpContext, StreamStateError, _dispatch
from proxy_wasm.testing.exchange import Exchange
from proxy_wasm.testing.records import EnvoyCrashError
from tests.unit import exchanges
from tests.unit.exchanges import CLOSED, PAUSE, errors

run = exchanges.run


# ---- what ends Envoy is an exception

NOT_PAUSED, ANSWERED, OVER = "is not paused", "has been answered or reset already", "the request is over"
IN_REQUEST = ("on_request_headers", "on_request_body", "on_request_trailers", "on_request_complete")
IN_RESPONSE = ("on_response_headers", "on_response_body", "on_response_trailers", "on_response_complete")
AT_THE_END = ("on_log", "on_done", "on_delete")
ACTIONS = ("send_response", "reset", "continue_request", "continue_response")


def act(context: HttpContext, action: str) -> str:
    """Does it, and returns what is wrong with it."""
    try:
        context.send_response(418) if action == "send_response" else getattr(context, action)()
    except StreamStateError as error:
        return str(error)
    return ""


def expected(first: str, second: str, callback: str) -> tuple[str, str]:
    """Returns a part of what each of two actions raises."""
    if callback in AT_THE_END:
        return OVER, OVER
    refused = {"continue_request": NOT_PAUSED, "continue_response": NOT_PAUSED}
    after = ANSWERED if first not in refused else refused.get(second, "")
    if (first, second) == ("send_response", "continue_response") and callback in IN_REQUEST:
        after = NOT_PAUSED  # a local response can be paused, when it comes
    return refused.get(first, ""), after


@pytest.mark.parametrize("first", ACTIONS)
@pytest.mark.parametrize("second", ACTIONS)
@pytest.mark.parametrize("callback", [*IN_REQUEST, *IN_RESPONSE, *AT_THE_END])
def test_two_actions(run: Callable[..., Exchange], callback: str, first: str, second: str) -> None:
    said: list[str] = []

    def method(self: HttpContext, *_: object) -> None:
        if not said:
            said.extend([act(self, first), act(self, second)])

    exchange = run(**{callback: method})
    exchange.request(body="a", trailers={"x": "y"})
    if exchange.upstream.headers is not None and not exchange.was_reset and not exchange.local_response:
        exchange.respond(body="b", trailers={"x": "y"})
    exchange.close()
    assert exchange.vm.host.crash is None
    for message, part in zip(said, expected(first, second, callback), strict=True):
        assert part in message and bool(part) == bool(message)


def test_the_host_tells_of_crashes(run: Callable[..., Exchange]) -> None:
    import _proxy_wasm

    exchange = run(on_request_headers=lambda self, *_: _proxy_wasm.proxy_continue_stream(1))
    with pytest.raises(EnvoyCrashError, match="continue_response before there is a response"):
        exchange.request()


def test_continue_needs_a_pause_of_its_own_side(run: Callable[..., Exchange]) -> None:
    contexts: list[HttpContext] = []

    def on_request_headers(self: HttpContext, *_: object) -> Action:
        contexts.append(self)
        return PAUSE

    exchange = run(
        on_request_headers=on_request_headers,
        on_response_headers=lambda self, *_: PAUSE,
        root={"on_tick": lambda self: None},
    )
    exchange.request(body="abc")
    assert exchange.upstream.headers is None
    assert NOT_PAUSED in act(contexts[0], "continue_response")
    assert act(contexts[0], "continue_request") == ""
    exchange.vm.tick()
    assert exchange.upstream.body == b"abc"
    assert NOT_PAUSED in act(contexts[0], "continue_request")
    exchange.respond(body="x")
    assert exchange.downstream.headers is None
    assert act(contexts[0], "continue_response") == ""
    exchange.vm.tick()
    assert exchange.downstream.body == b"x"


@pytest.mark.parametrize("root", [{}, CLOSED], ids=["open", "closed"])
@pytest.mark.parametrize("raises", [False, True])
def test_a_local_response_can_be_held_back(run: Callable[..., Exchange], root: dict[str, Any], raises: bool) -> None:
    def ask(self: HttpContext, *_: object) -> Action:
        proxy_wasm.http_call("authz", {":method": "GET", ":path": "/", ":authority": "a"})
        return PAUSE

    def answered(self: HttpContext, *_: object) -> None:
        if raises:
            raise RuntimeError("on purpose")
        self.continue_response()

    exchange = run(
        root,
        on_request_headers=lambda self, *_: self.send_response(403, body="no"),
        on_response_headers=ask,
        on_http_call_response=answered,
    )
    exchange.request()
    assert exchange.downstream.headers is None
    exchange.vm.http_call_response(next(iter(exchange.vm.host.http_calls)), [(b":status", b"200")])
    assert (exchange.downstream.status, exchange.downstream.body) == (403, b"no")
    exchange.close()
    assert exchange.vm.host.crash is None


# ---- the failure policy


def broken(*_: object) -> None:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("callback", [*IN_REQUEST, *IN_RESPONSE, *AT_THE_END])
@pytest.mark.parametrize("root", [{}, CLOSED], ids=["open", "closed"])
def test_a_callback_that_raises(run: Callable[..., Exchange], root: dict[str, Any], callback: str) -> None:
    exchange = run(root, **{callback: broken})
    exchange.request(body="a", trailers={"x": "y"})
    if not root or callback not in IN_REQUEST:
        exchange.respond(body="b", trailers={"x": "y"})
        if not root or callback in AT_THE_END:
            assert (exchange.upstream.body, exchange.downstream.body, exchange.downstream.status) == (b"a", b"b", 200)
    if root and callback not in AT_THE_END:
        gone = callback in IN_RESPONSE[1:]
        assert (exchange.was_reset, exchange.downstream.status) == (gone, 200 if gone else 500)
    exchange.close()
    assert errors(exchange) == ["RuntimeError: on purpose"]


@pytest.mark.parametrize("root", [{}, CLOSED], ids=["open", "closed"])
def test_a_constructor_that_raises(run: Callable[..., Exchange], root: dict[str, Any]) -> None:
    exchange = run(root, __init__=broken, on_request_headers=lambda self, *_: None, on_log=lambda self: None)
    exchange.request()
    assert (exchange.upstream.headers is not None, exchange.downstream.status) == (not root, 500 if root else 0)
    exchange.close()
    assert errors(exchange) == ["RuntimeError: on purpose"]


@pytest.mark.parametrize("root", [{}, CLOSED], ids=["open", "closed"])
def test_an_answer_and_then_an_exception(run: Callable[..., Exchange], root: dict[str, Any]) -> None:
    """The policy does nothing to a request that is answered."""

    def on_response_headers(self: HttpContext, *_: object) -> None:
        self.send_response(503)
        raise RuntimeError("on purpose")

    exchange = run(root, on_response_headers=on_response_headers)
    exchange.request()
    exchange.respond()
    exchange.close()
    assert exchange.vm.host.crash is None and exchange.downstream.status == 503


@pytest.mark.parametrize("root", [{}, CLOSED], ids=["open", "closed"])
def test_an_answer_and_then_an_exception_in_a_context_that_is_not_kept(
    run: Callable[..., Exchange], root: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_request_headers(self: HttpContext, *_: object) -> None:
        self.send_response(403)
        raise RuntimeError("on purpose")

    exchange = run(root, on_request_headers=on_request_headers)
    sent: list[int] = []
    send = exchange.vm.host.proxy_send_local_response

    def noted(code: int, *rest: Any) -> None:
        sent.append(code)
        send(code, *rest)

    monkeypatch.setattr(exchange.vm.host, "proxy_send_local_response", noted)
    exchange.request()
    assert exchange.downstream.status == 403 and sent == [403]
    exchange.close()
    assert exchange.vm.host.crash is None and not _dispatch.streams
    assert errors(exchange) == ["RuntimeError: on purpose"]


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize("root", [{}, CLOSED], ids=["open", "closed"])
def test_an_answer_to_a_call_that_raises(run: Callable[..., Exchange], root: dict[str, Any], side: str) -> None:
    def ask(self: HttpContext, *_: object) -> Action:
        proxy_wasm.http_call("authz", {":method": "GET", ":path": "/", ":authority": "a"})
        return PAUSE

    exchange = run(root, **{f"on_{side}_headers": ask, "on_http_call_response": broken})
    exchange.request()
    if side == "response":
        exchange.respond()
    exchange.vm.http_call_response(next(iter(exchange.vm.host.http_calls)), [(b":status", b"200")])
    assert exchange.downstream.status == (500 if root else 200 if side == "response" else 0)
    assert (exchange.upstream.headers is not None) == (side == "response" or not root)
    exchange.close()
    assert exchange.vm.host.crash is None


class Word(enum.StrEnum):
    PAUSE = "1"


@pytest.mark.parametrize("result", [True, 1, Word.PAUSE])
def test_what_is_no_action(run: Callable[..., Exchange], result: object) -> None:
    exchange = run(CLOSED, on_request_headers=lambda self, *_: result)
    exchange.request()
    assert exchange.downstream.status == 500
    wanted = f"on_request_headers() returned {result!r}: return a proxy_wasm.Action, or nothing"
    assert any(wanted in line for line in exchange.vm.host.lines(4))
