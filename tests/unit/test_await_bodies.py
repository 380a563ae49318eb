"""Bodies and responses that wait for an answer, in which order, and what a coroutine can still do when its request is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpContext, RootContext, StreamStateError, _await, _fetch, _http
from proxy_wasm.testing.exchange import Exchange
from proxy_wasm.testing.inprocess import InProcess
from tests.unit.coroutines import OK, answer

CLOSE = FailurePolicy.CLOSE


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not (_await.PENDING or _fetch.waiting or _http.callers or _http.open_calls)


def plugin(policy: FailurePolicy = FailurePolicy.CONTINUE, /, **methods: Any) -> type[RootContext]:
    members = {"http_context": type("Request", (HttpContext,), methods), "failure_policy": policy}
    return type("Plugin", (RootContext,), members)


def begin(vm: InProcess) -> Exchange:
    assert vm.start()
    return vm.exchange()


async def authorize(request: HttpContext, header_count: int, end_of_stream: bool) -> Action | None:
    answer = await request.fetch("authz", "/check", headers=request.request_headers.items())
    if answer.status != 200:
        return request.send_response(403, body="no")
    request.request_headers["x-user"] = answer.body
    return None


def test_a_request_waits_for_the_answer() -> None:
    with InProcess(plugin(on_request_headers=authorize)) as vm:
        exchange = begin(vm)
        exchange.request({"x-token": "t"}, ["a ", "body"], {"x-trailer": "1"})
        assert exchange.upstream.headers is None
        ((call, made),) = vm.host.http_calls.items()
        assert made.headers == [
            (b":method", b"GET"),
            (b":path", b"/check"),
            (b":authority", b"authz"),
            (b"x-token", b"t"),
        ]
        vm.http_call_response(call, OK, b"me")
        assert exchange.upstream.header("x-user") == b"me"
        assert (exchange.upstream.body, exchange.upstream.ended) == (b"a body", True)
        exchange.respond(body="fine")
        assert (exchange.downstream.status, exchange.downstream.body) == (200, b"fine")
        exchange.close()


@pytest.mark.parametrize("answers", [False, True])
def test_a_response_goes_on_once(answers: bool) -> None:
    async def turn_away(request: HttpContext, header_count: int, end_of_stream: bool) -> None:
        await request.fetch("authz")
        if answers:
            request.send_response(403)
        else:
            request.continue_request()

    with InProcess(plugin(on_request_headers=turn_away)) as vm:
        exchange = begin(vm)
        exchange.request()
        answer(vm, 0)
        assert exchange.downstream.status == (403 if answers else 0)
        assert (exchange.upstream.headers is not None) == (not answers)
        exchange.close()
        assert vm.host.logs == []


@pytest.mark.parametrize("trailers", [None, {"x-trailer": "1"}])
@pytest.mark.parametrize("side", ["request", "response"])
def test_a_whole_body_waits(side: str, trailers: dict[str, str] | None) -> None:
    async def look(stream: HttpContext, body: bytes) -> None:
        verdict = await stream.fetch("scanner", method="POST", body=body)
        getattr(stream, f"{side}_body").replace(verdict.body)

    with InProcess(plugin(**{f"on_{side}_complete": look})) as vm:
        exchange = begin(vm)
        exchange.request(
            body=["a ", "secret"] if side == "request" else "", trailers=trailers if side == "request" else None
        )
        if side == "response":
            exchange.respond(body=["a ", "secret"], trailers=trailers)
        sent = exchange.upstream if side == "request" else exchange.downstream
        assert sent.body == b""
        ((call, made),) = vm.host.http_calls.items()
        assert made.body == b"a secret"
        vm.http_call_response(call, OK, b"redacted")
        assert (sent.body, sent.ended) == (b"redacted", True)
        assert (sent.trailers is not None) == (trailers is not None)
        exchange.close()
        assert vm.host.logs == []


def test_pieces_of_a_body_wait_and_none_passes_unseen() -> None:
    seen = []

    async def look(stream: HttpContext, size: int, end_of_stream: bool) -> None:
        seen.append((size, end_of_stream))
        await stream.fetch("scanner")

    with InProcess(plugin(on_request_body=look)) as vm:
        exchange = begin(vm)
        exchange.request(body=["ab", "cd", "e"], trailers={"x-trailer": "1"})
        assert (seen, exchange.upstream.body) == ([(2, False)], b"")
        answer(vm, 0)
        assert (seen, exchange.upstream.body) == ([(2, False), (5, False)], b"")
        answer(vm, 0)
        assert (exchange.upstream.body, exchange.upstream.ended) == (b"abcde", True)
        exchange.close()


def test_a_response_waits() -> None:
    async def look(stream: HttpContext, header_count: int, end_of_stream: bool) -> None:
        stream.response_headers["x-seen"] = (await stream.fetch("authz")).body

    with InProcess(plugin(on_response_headers=look)) as vm:
        exchange = begin(vm)
        exchange.request()
        exchange.respond(body=["a ", "body"])
        assert exchange.downstream.headers is None
        answer(vm, 0)
        assert (exchange.downstream.header("x-seen"), exchange.downstream.body) == (b"0", b"a body")
        exchange.close()


def test_a_coroutine_that_is_closed_answers_nothing() -> None:
    refused = []

    async def wait(stream: HttpContext, header_count: int, end_of_stream: bool) -> None:
        try:
            await stream.fetch("authz")
        finally:
            for act in (lambda: stream.send_response(403), stream.reset, stream.continue_request):
                try:
                    act()
                except StreamStateError as error:
                    refused.append(str(error))

    with InProcess(plugin(on_request_headers=wait)) as vm:
        exchange = begin(vm)
        exchange.request()
        exchange.close()
        assert refused == [f"{name}: the request is over" for name in ("send_response", "reset", "continue_request")]
        answer(vm, 0)
        assert vm.host.logs == []


def test_a_root_may_have_both() -> None:
    class Connection(proxy_wasm.StreamContext):
        async def on_new_connection(self) -> None:
            await self.fetch("authz", "/connection")

    root = plugin(on_request_headers=authorize)
    root.stream_context = Connection
    with InProcess(root) as vm:
        exchange = begin(vm)
        connection = vm.connection()
        assert connection.new_connection() == Action.PAUSE
        exchange.request()
        answer(vm, 1, 0)
        assert connection.goes_on
        assert exchange.upstream.header("x-user") == b"1"
        connection.close()
        exchange.close()


def test_a_request_without_a_body_is_complete_when_its_headers_are_dealt_with() -> None:
    seen: list[str] = []

    async def headers(stream: HttpContext, header_count: int, end_of_stream: bool) -> None:
        seen.append((await stream.fetch("authz")).body.decode())

    async def complete(stream: HttpContext, body: bytes) -> None:
        seen.append(f"complete {body!r} {(await stream.fetch('scanner')).body!r}")

    def whole(stream: HttpContext, body: bytes) -> Action | None:
        seen.append("complete")
        return stream.send_response(403)

    with InProcess(plugin(on_request_headers=headers, on_request_complete=complete)) as vm:
        exchange = begin(vm)
        exchange.request()
        answer(vm, 0)
        answer(vm, 0)
        assert seen == ["0", "complete b'' b'0'"]
        assert exchange.upstream.ended
        exchange.close()
    with InProcess(plugin(on_request_headers=headers, on_request_complete=whole)) as vm:
        exchange = begin(vm)
        exchange.request()
        assert seen[2:] == []
        answer(vm, 0)
        assert seen[2:] == ["0", "complete"]
        assert (exchange.upstream.headers, exchange.downstream.status) == (None, 403)
        exchange.close()


@pytest.mark.parametrize("waits", [False, True])
def test_trailers_come_when_the_body_before_them_is_dealt_with(waits: bool) -> None:
    seen: list[str] = []

    async def complete(stream: HttpContext, body: bytes) -> None:
        seen.append((await stream.fetch("scanner")).body.decode())

    async def wait(stream: HttpContext, trailer_count: int) -> None:
        seen.append(f"trailers {(await stream.fetch('authz')).body!r}")

    def note(stream: HttpContext, trailer_count: int) -> None:
        seen.append("trailers")

    methods = {"on_request_complete": complete, "on_request_trailers": wait if waits else note}
    with InProcess(plugin(**methods)) as vm:
        exchange = begin(vm)
        exchange.request(body="a body", trailers={"x-trailer": "1"})
        assert seen == []
        answer(vm, 0)
        if waits:
            assert exchange.upstream.body == b""
            answer(vm, 0)
        assert seen == ["0", "trailers b'0'" if waits else "trailers"]
        assert (exchange.upstream.body, exchange.upstream.ended) == (b"a body", True)
        exchange.close()
