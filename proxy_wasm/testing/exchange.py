"""One request and its response through an HTTP filter, with the callbacks in the order in which Envoy makes them.

Header maps are there in their own callback, and as long as that holds them back. A body's buffer has what came and what was held
back. A local response runs through the same filter. What no Envoy does raises NeverInEnvoyError; what ends Envoy, EnvoyCrashError.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy_wasm.testing import local_reply
from proxy_wasm.testing.driver import Driver, expect
from proxy_wasm.testing.header_maps import Text, as_bytes, pairs
from proxy_wasm.testing.records import (
    CONTINUE,
    REQUEST,
    REQUEST_BODY,
    REQUEST_HEADERS,
    REQUEST_TRAILERS,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_HEADERS,
    RESPONSE_TRAILERS,
    Context,
    EnvoyCrashError,
    LocalResponse,
    Pairs,
)

if TYPE_CHECKING:
    from proxy_wasm._maps import Headers

REQUEST_DEFAULTS = [(b":method", b"GET"), (b":path", b"/"), (b":scheme", b"http"), (b":authority", b"example.com")]


@dataclass
class Message:
    """A request or a response, as it is sent on."""

    headers: Pairs | None = None
    body: bytes = b""
    trailers: Pairs | None = None
    ended: bool = False

    def header(self, name: str) -> bytes | None:
        """Returns the first value of a header, or None."""
        return next((value for found, value in self.headers or () if found == name.encode()), None)

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.header(":status") or 0)


@dataclass
class _Side:
    """The request, or the response: where its parts are in the host, and what is held back."""

    name: str
    headers: int
    body: int
    trailers: int
    sent: Message = field(default_factory=Message)
    begun: bool = False
    complete: bool = False
    paused_in: str = ""
    held_headers: Pairs | None = None
    held_trailers: Pairs | None = None
    waiting: list[tuple[str, object, bool]] = field(default_factory=list)


class Exchange:
    """A request and its response."""

    def __init__(self, vm: Driver, context: Context) -> None:
        self.vm = vm
        self.context = context
        context.exchange = self
        self._sides = {
            REQUEST: _Side("request", REQUEST_HEADERS, REQUEST_BODY, REQUEST_TRAILERS),
            RESPONSE: _Side("response", RESPONSE_HEADERS, RESPONSE_BODY, RESPONSE_TRAILERS),
        }
        self.local_response: LocalResponse | None = None
        self.was_reset = False
        self._ending = self._over = self._reset = self._replaced = self._grpc = False

    @property
    def context_id(self) -> int:
        """The context's number."""
        return self.context.context_id

    @property
    def upstream(self) -> Message:
        """What the upstream server got of the request; no headers if the filter held it back."""
        return self._sides[REQUEST].sent

    @property
    def downstream(self) -> Message:
        """What the client got of the response."""
        return self._sides[RESPONSE].sent

    # ---- what comes

    def request(
        self, headers: Headers = (), body: Text | Iterable[Text] = b"", trailers: Headers | None = None
    ) -> None:
        """Sends a whole request: the headers beside a method, path, scheme and authority, and a body in one piece or several."""
        given = pairs(headers)
        names = {name for name, _ in given}
        all_headers = [pair for pair in REQUEST_DEFAULTS if pair[0] not in names] + given
        self._send(REQUEST, all_headers, body, trailers)

    def respond(
        self,
        status: int = 200,
        headers: Headers = (),
        body: Text | Iterable[Text] = b"",
        trailers: Headers | None = None,
    ) -> None:
        """Answers as the upstream server, which has got the whole request."""
        expect(self.upstream.headers is not None, "the filter holds the request back: no server has it, to answer it")
        self._send(RESPONSE, [(b":status", b"%d" % status), *pairs(headers)], body, trailers)

    def _send(self, side: int, headers: Pairs, body: Text | Iterable[Text], trailers: Headers | None) -> None:
        chunks = [as_bytes(chunk) for chunk in ([body] if isinstance(body, str | bytes) else body)]
        chunks = [chunk for chunk in chunks if chunk]
        self.headers(side, headers, not chunks and trailers is None)
        for i, chunk in enumerate(chunks):
            self.data(side, chunk, i == len(chunks) - 1 and trailers is None)
        if trailers is not None:
            self.trailers(side, pairs(trailers))

    def headers(self, side: int, headers: Pairs, end_of_stream: bool) -> None:
        """Brings the headers of a side, REQUEST or RESPONSE."""
        found = self._sides[side]
        expect(not found.begun, f"the {found.name} has its headers")
        found.begun = True
        if side == REQUEST:
            self._grpc = local_reply.is_grpc(headers)
        self._bring(found, ("headers", list(headers), end_of_stream))

    def data(self, side: int, data: bytes, end_of_stream: bool = False) -> None:
        """Brings a part of the body."""
        self._bring(self._sides[side], ("body", data, end_of_stream))

    def trailers(self, side: int, trailers: Pairs) -> None:
        """Brings the trailers, after which nothing comes."""
        self._bring(self._sides[side], ("trailers", list(trailers), True))

    def _bring(self, side: _Side, part: tuple[str, object, bool]) -> None:
        if self._is_dead(side):
            return
        # What is held back in the headers holds back all that follows.
        if side.paused_in == "headers":
            side.waiting.append(part)
        else:
            self._call(side, *part)

    def _is_dead(self, side: _Side) -> bool:
        answered = self.local_response is not None and side.name == "request"
        return self.was_reset or self._over or self._replaced or answered

    def _call(self, side: _Side, kind: str, part: object, end_of_stream: bool) -> None:
        context, callback = self.context, f"proxy_on_{side.name}_{kind}"
        side.complete = end_of_stream
        if kind == "body":
            assert isinstance(part, bytes)
            context.buffers[side.body] = context.buffers.get(side.body, b"") + part
            arguments = [len(context.buffers[side.body]), int(end_of_stream)]
        else:
            assert isinstance(part, list)
            context.header_maps[side.headers if kind == "headers" else side.trailers] = part
            arguments = [len(part), int(end_of_stream)][: 2 if kind == "headers" else 1]
        answered = self.local_response
        action = self.vm.call(callback, self.context_id, *arguments) or CONTINUE
        if self._reset and callback == "proxy_on_response_trailers" and action == CONTINUE:
            raise EnvoyCrashError("a response that goes on after a reset ends Envoy with a segmentation fault")
        if self.local_response is not answered or self.was_reset:
            return
        if action == CONTINUE:
            self._pass_on(side)
        else:
            side.paused_in = kind

    def _pass_on(self, side: _Side) -> None:
        """Sends on what a side has, and forgets it."""
        context, sent = self.context, side.sent
        side.paused_in = ""
        sent.headers = context.header_maps.pop(side.headers, sent.headers)
        sent.body += context.buffers.pop(side.body, b"")
        sent.trailers = context.header_maps.pop(side.trailers, sent.trailers)
        sent.ended = side.complete
        waiting, side.waiting = side.waiting, []
        for part in waiting:
            self._bring(side, part)

    # ---- what the filter does

    def go_on(self, stream: int) -> None:
        """Continues a side that the filter held back, when the callback is over."""
        side = self._sides.get(stream)
        if side is None:
            return
        if stream == RESPONSE and not side.begun:
            self._crash("continue_response before there is a response")
        if not side.paused_in:
            expect(stream == REQUEST, "continue_response without a pause would send the headers twice")
            return
        self.vm.host.after_call.append(lambda: self._resume(side))

    def _resume(self, side: _Side) -> None:
        if side.paused_in and not self._is_dead(side):
            self._pass_on(side)

    def answer(self, response: LocalResponse) -> None:
        """Sends a local response when the callback is over."""
        if self._ending:
            self._crash("a local response after the end")
        if self.local_response is not None:
            if self._sides[RESPONSE].begun:
                self._crash("two local responses to one response")
            return
        self.local_response = response
        self.vm.host.after_call.append(lambda: self._respond(response))

    def _respond(self, response: LocalResponse) -> None:
        side = self._sides[RESPONSE]
        if side.sent.headers is not None:
            self.was_reset = True
            return
        headers, body = local_reply.sent(response, self._grpc)
        for part in (side.headers, side.body, side.trailers):
            self.context.header_maps.pop(part, None)
        self.context.buffers.pop(side.body, None)
        side.waiting, side.paused_in = [], ""
        if side.begun:
            # It is sent as it is: the filter has seen its response.
            side.sent = Message(headers, body, None, True)
            self._replaced = True
            return
        self._send(RESPONSE, headers, body, None)

    def reset(self) -> None:
        """Ends the stream without an answer."""
        if self._ending:
            self._crash("a reset after the end")
        if self.local_response is not None and self._sides[RESPONSE].begun:
            self._crash("a reset after a local response")
        self._reset = True
        self.vm.host.after_call.append(self._end)

    def _end(self) -> None:
        self.was_reset = True

    def _crash(self, what: str) -> None:
        self.vm.host.crash = EnvoyCrashError(f"{what} ends Envoy with a segmentation fault")

    # ---- the end

    def close(self) -> None:
        """Ends the request and its context: it is logged first."""
        expect(not self._over, "the request has ended")
        self._over = self._ending = True
        self.context.header_maps.clear()
        for callback in ("proxy_on_log", "proxy_on_done"):
            self.vm.call(callback, self.context_id)
        self.vm.delete(self.context)
