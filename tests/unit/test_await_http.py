"""HTTP callbacks that are `async def`: the request waits, goes on by itself, and Envoy's traps stay closed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from proxy_wasm import Action, FailurePolicy, HttpContext, RootContext, _await, gather, register
from proxy_wasm.testing.exchange import Exchange
from proxy_wasm.testing.inprocess import InProcess

OK, DENIED = [(b":status", b"200")], [(b":status", b"403")]
Method = Callable[..., Coroutine[Any, Any, Action | None]]


def plugin(policy: FailurePolicy = FailurePolicy.CONTINUE, **methods: object) -> type[RootContext]:
    context = type("Request", (HttpContext,), methods)
    return type("Plugin", (RootContext,), {"http_context": context, "failure_policy": policy})


def answer(vm: InProcess, headers: list[tuple[bytes, bytes]] = OK) -> None:
    for call, made in list(vm.host.http_calls.items()):
        if not made.answered:
            vm.http_call_response(call, headers)


async def authorize(self: HttpContext, *_: object) -> Action | None:
    answer = await self.fetch("authz", "/check", headers=self.request_headers.items(), timeout=0.2)
    if answer.status != 200:
        return self.send_response(403, body="no")
    self.request_headers["x-checked"] = "1"
    return None


def begun(vm: InProcess) -> Exchange:
    vm.start()
    exchange = vm.exchange()
    exchange.request({"x-user": "me"}, body=["a", "b"], trailers={"x": "y"})
    assert exchange.upstream.headers is None
    return exchange


def test_a_request_waits_and_goes_on() -> None:
    with InProcess(plugin(on_request_headers=authorize)) as vm:
        exchange = begun(vm)
        (made,) = vm.host.http_calls.values()
        assert dict(made.headers)[b"x-user"] == b"me"
        answer(vm)
        assert exchange.upstream.header("x-checked") == b"1"
        assert (exchange.upstream.body, exchange.upstream.trailers) == (b"ab", [(b"x", b"y")])
        exchange.close()
        assert not _await.PENDING and not vm.host.lines(4)


def test_a_request_waits_and_is_turned_away() -> None:
    with InProcess(plugin(on_request_headers=authorize)) as vm:
        exchange = begun(vm)
        answer(vm, DENIED)
        assert (exchange.upstream.headers, exchange.downstream.status, exchange.downstream.body) == (None, 403, b"no")
        exchange.close()
        assert not vm.host.lines(4)


async def answers_and_returns_nothing(self: HttpContext, *_: object) -> None:
    await self.fetch("authz")
    self.send_response(403)


async def raises(self: HttpContext, *_: object) -> None:
    await self.fetch("authz")
    raise RuntimeError("on purpose")


async def answers_and_raises(self: HttpContext, *_: object) -> None:
    await answers_and_returns_nothing(self)
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("policy", FailurePolicy)
@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize(
    ("method", "status"), [(answers_and_returns_nothing, 403), (raises, 0), (answers_and_raises, 403)]
)
def test_how_a_coroutine_ends(policy: FailurePolicy, side: str, method: Method, status: int) -> None:
    with InProcess(plugin(policy, **{f"on_{side}_headers": method})) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        if side == "response":
            exchange.respond(201)
        answer(vm)
        closed = policy is FailurePolicy.CLOSE
        went_on = 201 if side == "response" else 0
        assert exchange.downstream.status == (status or (500 if closed else went_on))
        assert (exchange.upstream.headers is not None) == (side == "response" or not (status or closed))
        exchange.close()
        assert vm.host.crash is None
        assert len([line for line in vm.host.lines(4) if "RuntimeError: on purpose" in line]) == (
            "raises" in method.__name__
        )


def test_it_is_closed_with_its_request() -> None:
    closed: list[str] = []

    async def wait(self: HttpContext, *_: object) -> None:
        try:
            await self.fetch("authz")
        finally:
            closed.append("closed")

    with InProcess(plugin(on_request_headers=wait)) as vm:
        exchange = begun(vm)
        exchange.close()
        assert closed == ["closed"]
        answer(vm)
        assert not vm.host.lines(4)


def test_several_at_once_with_the_whole_body() -> None:
    async def ask(self: HttpContext, body: bytes) -> None:
        one, two = await gather(self.fetch("one", body=body), self.fetch("two", body=body))
        self.request_body.replace(b"%d %d" % (one.status, two.status))

    with InProcess(plugin(on_request_complete=ask)) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request(body=["a", "b"])
        assert [made.body for made in vm.host.http_calls.values()] == [b"ab", b"ab"]
        answer(vm)
        assert exchange.upstream.body == b"200 200" and exchange.upstream.ended
        exchange.close()
        assert not vm.host.lines(4)


def test_a_coroutine_that_does_not_wait() -> None:
    async def at_once(self: HttpContext, *_: object) -> Action | None:
        return self.send_response(204) if self.request_headers.get("x") else None

    with InProcess(plugin(on_request_headers=at_once)) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert exchange.upstream.headers is not None
        exchange = vm.exchange()
        exchange.request({"x": "1"})
        assert exchange.downstream.status == 204


def test_what_cannot_wait_says_so() -> None:
    async def method(self: HttpContext) -> None:
        pass

    with InProcess(), pytest.raises(TypeError, match="on_log: it is async def, but it comes at the end"):
        register(plugin(on_log=method))


def test_what_a_body_brings_waits_too() -> None:
    """With `allow_on_headers_stop_iteration` Envoy brings the body while the headers wait: it must not pass by."""
    with InProcess(plugin(on_request_headers=authorize)) as vm:
        sides = {f"proxy_on_request_{part}" for part in ("headers", "body", "trailers")}
        assert vm.exports >= sides
        vm.start()
        exchange = vm.exchange()
        exchange.request(body="")
        context = exchange.context_id
        assert vm.call("proxy_on_request_body", context, 3, 1) == Action.PAUSE
        answer(vm)
        assert exchange.upstream.header("x-checked") == b"1"


def test_a_test_that_answers_what_nobody_asked_is_told_what_was_logged() -> None:
    def on_request_headers(self: HttpContext, header_count: int, end_of_stream: bool) -> None:
        print("asks nobody")

    with InProcess(plugin(on_request_headers=on_request_headers)) as vm:
        vm.start()
        vm.exchange().request()
        with pytest.raises(AssertionError, match=r"waits for no HTTP call; it logged \['asks nobody'\]"):
            vm.answer()


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_coroutine_that_pauses_at_once_is_known_to_be_paused(side: str, part: str) -> None:
    made: list[HttpContext] = []

    async def pauses(self: HttpContext, *_: object) -> Action:
        made.append(self)
        return Action.PAUSE

    with InProcess(plugin(FailurePolicy.CLOSE, **{f"on_{side}_{part}": pauses})) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request(body="a")
        if side == "response":
            exchange.respond(body="b")
        gone = exchange.downstream if side == "response" else exchange.upstream
        assert gone.body == b""
        getattr(made[0], f"continue_{side}")()
        vm.tick()
        assert gone.body == (b"b" if side == "response" else b"a")
        exchange.close()
