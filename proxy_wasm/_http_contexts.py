"""The context of an HTTP request and its response.

A filter without HTTP does not have this module (`__getattr__` in `__init__.py`). Some sequences of host calls end Envoy with a
segmentation fault. So a context knows what it may do: see `ANSWERED` and the others. The methods here ask first, and
`_http_dispatch` writes down what the callbacks return.
"""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm import _maps
from proxy_wasm._bodies import Body
from proxy_wasm._headers import Headers
from proxy_wasm._types import Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from proxy_wasm._contexts import ActionOrLater, RootContext
    from proxy_wasm._fetch import fetch as _fetch
    from proxy_wasm._maps import Headers as AnyHeaders

# Of a stream's state. A local response is a response of its own, which can be paused and continued, unless it took another's place.
REQUEST_PAUSED = 1 << 0
RESPONSE_PAUSED = 1 << 1
ANSWERED = 1 << 2  # there was a local response, or a reset: nothing can be done with the request any more
REPLACED = 1 << 3  # and nothing with the response either: it had begun
RESET = 1 << 4
ENDING = 1 << 5  # on_log, on_done or on_delete was called
BEGUN = 1 << 6  # the response's headers came
RESPONDING = 1 << 7  # and were sent
REQUEST_COMPLETE = 1 << 8  # on_request_complete was called
RESPONSE_COMPLETE = 1 << 9
PAUSED = REQUEST_PAUSED | RESPONSE_PAUSED

_REQUEST, _RESPONSE = 0, 1
_NO_GRPC_STATUS = -1
_go_on = _proxy_wasm.go_on  # what the methods do if nothing stands in the way, by proxy_continue_stream


class StreamStateError(RuntimeError):
    """What was asked for cannot be done with the request now; Envoy would crash, or send nonsense."""


class HttpContext:
    """One HTTP request and its response: made with its first callback and dropped after `on_delete`.

    A callback that is `async def` may `await self.fetch(cluster, path)`: the request, or the response, waits meanwhile.

    A request that is no HTTP, or has no authority, has only `on_done`, `on_log` and `on_delete`.
    """

    __slots__ = ("_state", "context_id", "root")

    request_headers = Headers(0)
    request_trailers = Headers(1)
    response_headers = Headers(2)
    response_trailers = Headers(3)
    request_body = Body(0)
    response_body = Body(1)

    if TYPE_CHECKING:  # only a filter with an `async def` callback has it
        fetch = _fetch

    _whole = 0
    """The bodies that the class wants whole: REQUEST_COMPLETE, RESPONSE_COMPLETE, or both."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        # Asked here, and not with each request.
        cls._whole = REQUEST_COMPLETE if cls.on_request_complete is not HttpContext.on_request_complete else 0
        cls._whole |= RESPONSE_COMPLETE if cls.on_response_complete is not HttpContext.on_response_complete else 0

    def __init__(self, context_id: int, root: RootContext) -> None:
        self.context_id = context_id
        self.root = root
        self._state = 0

    # ---- callbacks

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> ActionOrLater:
        """Called with the request's headers; None is Action.CONTINUE. After PAUSE nothing of the request comes until it goes on."""
        return Action.CONTINUE

    def on_request_body(self, size: int, end_of_stream: bool) -> ActionOrLater:
        """Called when bytes of the request's body came; PAUSE holds back all that came so far. With trailers there is no end here."""
        return Action.CONTINUE

    def on_request_trailers(self, trailer_count: int) -> ActionOrLater:
        """Called with the request's trailers, if it has any."""
        return Action.CONTINUE

    def on_request_complete(self, body: bytes) -> ActionOrLater:
        """Called once with the request's whole body, before any of it is sent on; content-length is removed after the headers'."""
        return Action.CONTINUE

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> ActionOrLater:
        """Called with the response's headers, also of a response that Envoy or this filter gave."""
        return Action.CONTINUE

    def on_response_body(self, size: int, end_of_stream: bool) -> ActionOrLater:
        """Called when bytes of the response's body came; PAUSE holds back all that came so far. With trailers there is no end here."""
        return Action.CONTINUE

    def on_response_trailers(self, trailer_count: int) -> ActionOrLater:
        """Called with the response's trailers, if it has any."""
        return Action.CONTINUE

    def on_response_complete(self, body: bytes) -> ActionOrLater:
        """Called once with the response's whole body, before any of it is sent on; content-length is removed after the headers'."""
        return Action.CONTINUE

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Called with the answer to an HTTP call that the request made, which `get_http_answer` reads; the default tells the root."""
        self.root.on_http_call_response(call, header_count, body_size, trailer_count)

    def on_done(self) -> bool:
        """Called after `on_log`; Envoy goes on to `on_delete` whatever it returns."""
        return True

    def on_log(self) -> None:
        """Called when the request is over, and its properties are final."""

    def on_delete(self) -> None:
        """Called last; the context is dropped afterwards."""

    # ---- what can be done with the request

    def send_response(
        self,
        status: int,
        headers: AnyHeaders = (),
        body: bytes | str = b"",
        grpc_status: int | None = None,
        details: str = "",
    ) -> Action:
        """Answers the request in the upstream server's place, and returns Action.PAUSE for the callback to return.

        `details` is for the access log (`%RESPONSE_CODE_DETAILS%`). If the response's headers are sent, Envoy resets the stream instead.
        StreamStateError: the request is answered, or over. ValueError: the status is not from 200 to 599.
        """
        if not (isinstance(status, int) and 200 <= status <= 599):
            raise ValueError(f"a response has a status from 200 to 599, not {status!r}")
        code = _NO_GRPC_STATUS if grpc_status is None else grpc_status
        pairs = _maps.serialize(headers)
        self._expect_unanswered("send_response")
        self._state = self._state & ~PAUSED | ANSWERED | (REPLACED if self._state & (BEGUN | RESPONDING) else 0)
        # Another context's callback may run, such as the root's on_tick.
        before = _proxy_wasm.speak_for(self.context_id)
        _proxy_wasm.proxy_send_local_response(status, details, body, pairs, code)
        _proxy_wasm.speak_for(before)
        return Action.PAUSE

    def continue_request(self) -> None:
        """Lets the request go on that a callback returned Action.PAUSE for; StreamStateError if none did, or it is answered."""
        if _go_on(self, REQUEST_PAUSED, ANSWERED | ENDING):
            return
        self._expect_unanswered("continue_request")
        self._continue(_REQUEST, REQUEST_PAUSED, "request")

    def continue_response(self) -> None:
        """Lets the response go on that a callback returned Action.PAUSE for; StreamStateError if none did, or it is another's by now."""
        if _go_on(self, RESPONSE_PAUSED, REPLACED | ENDING):
            return
        self._expect_unanswered("continue_response", REPLACED)
        self._continue(_RESPONSE, RESPONSE_PAUSED, "response")

    def reset(self) -> None:
        """Ends the stream without an answer; StreamStateError if it is answered, or over."""
        self._expect_unanswered("reset")
        self._state = self._state & ~PAUSED | ANSWERED | REPLACED | RESET
        before = _proxy_wasm.speak_for(self.context_id)
        _proxy_wasm.proxy_close_stream(_REQUEST)
        _proxy_wasm.speak_for(before)

    def _continue(self, stream: int, bit: int, name: str) -> None:
        if not self._state & bit:
            raise StreamStateError(
                f"continue_{name}: the {name} is not paused; a callback that ran before returns Action.PAUSE"
            )
        self._state &= ~bit
        before = _proxy_wasm.speak_for(self.context_id)
        _proxy_wasm.proxy_continue_stream(stream)
        _proxy_wasm.speak_for(before)

    def _expect_unanswered(self, method: str, answered: int = ANSWERED) -> None:
        if self._state & ENDING:
            raise StreamStateError(f"{method}: the request is over")
        if self._state & answered:
            raise StreamStateError(f"{method}: the request has been answered or reset already")
