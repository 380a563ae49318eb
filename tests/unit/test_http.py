"""HTTP contexts: headers, bodies, responses, and one root for connections and requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import proxy_wasm
from proxy_wasm import Action, HttpContext, RootContext, StreamContext, _dispatch
from proxy_wasm.testing.boundary import BOUNDARY
from proxy_wasm.testing.driver import NeverInEnvoyError
from proxy_wasm.testing.exchange import Exchange
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import REQUEST, RESPONSE
from tests.unit import exchanges
from tests.unit.exchanges import PAUSE, errors, plugin

run = exchanges.run


# ---- headers


def test_headers_are_a_mapping_with_several_values(run: Callable[..., Exchange]) -> None:
    seen: list[object] = []

    def on_request_headers(self: HttpContext, header_count: int, end_of_stream: bool) -> None:
        headers = self.request_headers
        seen.extend([header_count, end_of_stream, headers["X-One"], headers[":path"], headers.get("none")])
        seen.extend(["x-two" in headers, b"none" in headers, 5 in headers, headers.get_all("X-Two"), len(headers)])
        seen.append(headers.size == sum(len(name) + len(value) for name, value in headers.items()))
        headers.add("x-two", "c")
        headers["X-One"] = b"new"
        del headers["x-three"], headers["never"]
        seen.append(list(headers)[4:])
        with pytest.raises(KeyError, match="none"):
            headers["none"]
        for wrong in ("a\nb", b"a\rb", "a\0b"):
            with pytest.raises(ValueError, match="line's end"):
                headers["x"] = wrong
            with pytest.raises(ValueError, match="line's end"):
                headers.add(wrong, "x")

    exchange = run(on_request_headers=on_request_headers)
    exchange.request([("x-one", "1"), ("x-two", "a"), ("X-Two", "b"), ("x-three", "3")])
    names = [b"x-one", b"x-two", b"x-two", b"x-two"]
    assert seen == [8, True, b"1", b"/", None, True, False, False, [b"a", b"b"], 8, True, names]
    assert exchange.upstream.header("x-one") == b"new"
    assert exchange.upstream.headers is not None and exchange.upstream.headers[-1] == (b"x-two", b"c")
    assert not errors(exchange)


def test_what_headers_are_given_and_got_as(run: Callable[..., Exchange]) -> None:
    """Types, too: mypy reads this."""

    def on_request_headers(self: HttpContext, header_count: int, end_of_stream: bool) -> Action:
        missing: bytes = self.request_headers.get("none", b"")
        found: bytes | None = self.request_headers.get("x-one")
        assert (missing, found) == (b"", b"1")
        proxy_wasm.http_call(
            "authz", {":method": "GET", ":path": b"/", ":authority": self.request_headers[":authority"]}
        )
        proxy_wasm.http_call("authz", self.request_headers.items())
        proxy_wasm.http_call("authz", dict(self.request_headers.items()))
        proxy_wasm.http_call("authz", ((name, value) for name, value in self.request_headers.items()))
        return self.send_response(200, {"x-text": "a", "x-bytes": b"b"})

    exchange = run(on_request_headers=on_request_headers)
    exchange.request({"x-one": b"1", "x-two": "2"})
    assert not errors(exchange) and len(exchange.vm.host.http_calls) == 4
    assert exchange.downstream.headers == [(b":status", b"200"), (b"x-text", b"a"), (b"x-bytes", b"b")]
    assert isinstance(HttpContext.request_body, proxy_wasm.Body)


def test_a_map_is_there_in_its_own_callback(run: Callable[..., Exchange]) -> None:
    def on_response_headers(self: HttpContext, header_count: int, end_of_stream: bool) -> None:
        self.response_headers.replace({":status": "204", "x": "y"})
        assert self.request_headers.items() == []
        with pytest.raises(
            proxy_wasm.BadArgumentError, match="status 2; these headers are there in their own callback"
        ):
            self.request_headers.get("x")

    exchange = run(on_response_headers=on_response_headers)
    exchange.request()
    exchange.respond(200, {"x-server": "1"})
    assert not errors(exchange)
    assert exchange.downstream.headers == [(b":status", b"204"), (b"x", b"y")]


# ---- bodies


def test_a_body_is_changed_piece_by_piece(run: Callable[..., Exchange]) -> None:
    def on_request_body(self: HttpContext, size: int, end_of_stream: bool) -> Action | None:
        body = self.request_body
        assert body.size == size == len(body.read()) and body.read(1, 1) == body.read()[1:2]
        if not end_of_stream:
            return PAUSE
        body.prepend("<")
        body.append(b">")
        return None

    exchange = run(on_request_body=on_request_body)
    exchange.request(body=["abc", "def"])
    assert exchange.upstream.body == b"<abcdef>"


def test_bytes_that_go_on_at_once_come_once(run: Callable[..., Exchange]) -> None:
    sizes: list[int] = []
    exchange = run(on_response_body=lambda self, size, end_of_stream: sizes.append(size))
    exchange.request()
    exchange.respond(body=["abc", "de"])
    assert (sizes, exchange.downstream.body) == ([3, 2], b"abcde")


@pytest.mark.parametrize("trailers", [None, {"x-checksum": "1"}])
@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize("body", ["", "a secret", ["a ", "secret"]])
def test_a_whole_body_comes_once(
    run: Callable[..., Exchange], side: str, body: str | list[str], trailers: dict[str, str] | None
) -> None:
    bodies: list[bytes] = []

    def complete(self: HttpContext, whole: bytes) -> None:
        bodies.append(whole)
        if whole:
            getattr(self, f"{side}_body").replace(whole.replace(b"secret", b"***"))

    exchange = run(**{f"on_{side}_complete": complete})
    headers = {"content-length": "8"}
    if side == "request":
        exchange.request(headers, body, trailers)
    else:
        exchange.request()
        exchange.respond(200, headers, body, trailers)
    sent = exchange.upstream if side == "request" else exchange.downstream
    assert bodies == [b"a secret" if body else b""]
    assert sent.body == (b"a ***" if body else b"") and sent.ended
    # Without a body and trailers there is nothing that could change.
    assert (sent.header("content-length") is None) == bool(body or trailers)
    assert (sent.trailers is not None) == (trailers is not None)
    assert not errors(exchange)


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("later", [False, True])
def test_a_length_is_seen_and_removed_afterwards(
    run: Callable[..., Exchange], side: str, fails: bool, later: bool
) -> None:
    seen: list[bytes | None] = []

    def see(self: HttpContext) -> None:
        seen.append(getattr(self, f"{side}_headers").get("content-length"))
        # Another context's headers are not meant.
        proxy_wasm.set_effective_context(self.root.context_id)
        if fails:
            raise RuntimeError("on purpose")

    def on_headers(self: HttpContext, header_count: int, end_of_stream: bool) -> None:
        see(self)

    async def on_headers_later(self: HttpContext, header_count: int, end_of_stream: bool) -> None:
        await self.fetch("authz")
        see(self)

    def complete(self: HttpContext, body: bytes) -> None:
        getattr(self, f"{side}_body").replace(body + body)

    methods = {f"on_{side}_headers": on_headers_later if later else on_headers, f"on_{side}_complete": complete}
    exchange = run(**methods)
    vm = exchange.vm

    def answer() -> None:
        for call, made in list(vm.host.http_calls.items()):
            if not made.answered:
                vm.http_call_response(call, {":status": "200"})

    exchange.request({"content-length": "3"} if side == "request" else {}, "abc" if side == "request" else "")
    answer()
    if side == "response":
        exchange.respond(200, {"content-length": "3"}, "abc")
        answer()
    sent = exchange.upstream if side == "request" else exchange.downstream
    assert (seen, sent.header("content-length"), sent.body) == ([b"3"], None, b"abcabc")
    assert bool(errors(exchange)) == fails


@pytest.mark.parametrize("side", ["request", "response"])
def test_what_replaces_something_harms_no_message_without_a_body(run: Callable[..., Exchange], side: str) -> None:
    def complete(self: HttpContext, body: bytes) -> None:
        getattr(self, f"{side}_body").replace(body.replace(b"secret", b"******"))

    exchange = run(**{f"on_{side}_complete": complete})
    exchange.request({":method": "HEAD"})
    exchange.respond(200, {"content-length": "7"})
    assert not errors(exchange)
    assert exchange.downstream.header("content-length") == b"7" and exchange.downstream.ended


def test_a_message_without_a_body_takes_none(run: Callable[..., Exchange]) -> None:
    exchange = run(on_request_complete=lambda self, body: self.request_body.replace(b"more"))
    exchange.request()
    assert [error.partition(":")[0] for error in errors(exchange)] == ["proxy_wasm._errors.BadArgumentError"]


def test_the_length_of_what_is_answered_stays(run: Callable[..., Exchange]) -> None:
    exchange = run(
        on_request_headers=lambda self, header_count, end_of_stream: self.send_response(403, body="no"),
        on_request_complete=lambda self, body: None,
    )
    exchange.request({"content-length": "3"}, "abc")
    assert exchange.downstream.status == 403 and not errors(exchange)
    assert (b"content-length", b"3") in exchange.context.header_maps[REQUEST]


def test_a_whole_body_can_be_held_back(run: Callable[..., Exchange]) -> None:
    held: list[HttpContext] = []

    def on_request_complete(self: HttpContext, body: bytes) -> Action:
        held.append(self)
        return PAUSE

    exchange = run(
        on_request_complete=on_request_complete,
        root={"on_tick": lambda self: held[0].continue_request()},
    )
    exchange.request(body="abc")
    assert exchange.upstream.body == b""
    exchange.vm.tick()
    assert (exchange.upstream.body, exchange.upstream.ended) == (b"abc", True)


# ---- responses


def test_a_response_in_the_servers_place(run: Callable[..., Exchange]) -> None:
    seen: list[bytes] = []

    def on_request_headers(self: HttpContext, header_count: int, end_of_stream: bool) -> Action:
        return self.send_response(403, {"x-why": "no"}, "forbidden", grpc_status=7, details="mine")

    def on_response_headers(self: HttpContext, header_count: int, end_of_stream: bool) -> None:
        seen.append(self.response_headers[":status"])

    exchange = run(on_request_headers=on_request_headers, on_response_headers=on_response_headers)
    exchange.request(body="abc")
    assert exchange.upstream.headers is None
    assert (exchange.downstream.status, exchange.downstream.body) == (403, b"forbidden")
    assert exchange.downstream.header("x-why") == b"no" and exchange.downstream.header("grpc-status") is None
    assert seen == [b"403"]
    assert exchange.local_response is not None and exchange.local_response.details == b"mine"
    with pytest.raises(NeverInEnvoyError, match="holds the request back"):
        exchange.respond()


@pytest.mark.parametrize(
    "arguments",
    [
        {"status": 99},
        {"status": 1000},
        {"status": "403"},
        {"status": None},
        {"status": 200, "headers": {"x": "a\r\nb"}},
    ],
)
def test_no_response_of_that_kind(run: Callable[..., Exchange], arguments: dict[str, Any]) -> None:
    def on_request_headers(self: HttpContext, header_count: int, end_of_stream: bool) -> Action:
        with pytest.raises(ValueError, match=r"line's end|from 200 to 599"):
            self.send_response(**arguments)
        return self.send_response(204)

    exchange = run(on_request_headers=on_request_headers)
    exchange.request()
    assert exchange.downstream.status == 204


# ---- one root for TCP and HTTP, and contexts that nobody keeps


def test_one_root_serves_connections_and_requests() -> None:
    seen: list[str] = []

    class Connection(StreamContext):
        def on_new_connection(self) -> None:
            seen.append("connection")

    class Request(HttpContext):
        def on_log(self) -> None:
            seen.append("request")

    class Both(RootContext):
        stream_context = Connection
        http_context = Request

    with InProcess(Both) as vm:
        vm.start()
        connection, exchange, malformed = vm.connection(), vm.exchange(), vm.exchange()
        connection.new_connection()
        exchange.request()
        for one in (connection, exchange, malformed):
            one.close()
        assert seen == ["connection", "request", "request"]
        assert not _dispatch.streams and not _dispatch.undecided


def test_without_a_place_to_wait_the_first_callback_still_decides() -> None:
    seen: list[str] = []
    root = plugin({"stream_context": StreamContext}, on_request_headers=lambda self, *_: seen.append("request"))
    with InProcess(root) as vm:
        vm.start()
        exchange, connection = vm.exchange(), vm.connection()
        for one in (exchange, connection):
            _dispatch.on_context_create(one.context_id, vm.root.context_id)
            BOUNDARY.held_back.pop(one.context_id)
        exchange.request()
        connection.new_connection()
        exchange.close()
        connection.close()
        assert seen == ["request"] and not _dispatch.undecided and not _dispatch.streams


def test_a_stream_that_nobody_decided_about_is_forgotten() -> None:
    with InProcess(plugin({"stream_context": StreamContext}, on_request_headers=lambda self, *_: None)) as vm:
        vm.start()
        exchange = vm.exchange()
        BOUNDARY.held_back.clear()  # there was no place for it
        _dispatch.on_context_create(exchange.context_id, vm.root.context_id)
        assert len(_dispatch.undecided) == 1
        vm.call("proxy_on_delete", exchange.context_id)
        assert not _dispatch.undecided


def test_a_context_of_headers_alone_is_not_kept(run: Callable[..., Exchange]) -> None:
    exchange = run(on_request_headers=lambda self, *_: None)
    exchange.request()
    assert not _dispatch.streams
    exchange.respond()
    exchange.close()


def test_the_sides_are_not_mixed_up(run: Callable[..., Exchange]) -> None:
    exchange = run(on_log=lambda self: None)
    exchange.headers(REQUEST, [(b":path", b"/")], True)
    with pytest.raises(NeverInEnvoyError, match="the request has its headers"):
        exchange.headers(REQUEST, [], True)
    exchange.headers(RESPONSE, [(b":status", b"200")], True)
    exchange.close()
    with pytest.raises(NeverInEnvoyError, match="has ended"):
        exchange.close()


def test_whom_an_earlier_callback_spoke_for_does_not_matter(run: Callable[..., Exchange]) -> None:
    first: list[HttpContext] = []

    def on_request_headers(self: HttpContext, *_: object) -> Action:
        if first:
            return self.send_response(204)
        first.append(self)
        return PAUSE

    exchange = run(
        on_request_headers=on_request_headers,
        root={"on_tick": lambda self: proxy_wasm.set_effective_context(first[0].context_id)},
    )
    exchange.request()
    exchange.vm.tick()
    exchange.close()
    assert isinstance(exchange.vm, Vm)
    second = exchange.vm.exchange()
    second.request()
    assert (second.downstream.status, errors(exchange)) == (204, [])
