"""Callbacks of requests that are `async def`: what `_await` needs to know of HTTP. A filter without both does not have it."""

from __future__ import annotations

from proxy_wasm import _await, _fetch
from proxy_wasm._dispatch import streams
from proxy_wasm._http_contexts import (
    ANSWERED,
    ENDING,
    REPLACED,
    REQUEST_PAUSED,
    RESPONSE_PAUSED,
    HttpContext,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class _Direction(_await.Direction):
    """The request, or the response; the context's state says whether it is paused, and what may still be done."""

    def __init__(self, bit: int, over: int, go_on: Callable[[HttpContext], None]) -> None:
        self._bit = bit
        self._over = over | ENDING
        self._go_on = go_on

    def is_paused(self, context_id: int) -> bool:
        stream = streams.get(context_id)
        return isinstance(stream, HttpContext) and stream._state & (self._bit | self._over) == self._bit

    def pause(self, context_id: int) -> None:
        stream = streams.get(context_id)
        if isinstance(stream, HttpContext) and not stream._state & self._over:
            stream._state |= self._bit

    def go_on(self, context_id: int) -> None:
        stream = streams.get(context_id)
        if isinstance(stream, HttpContext) and not stream._state & self._over:
            # A callback that was held back has taken note of what it returned, but not to the proxy.
            stream._state |= self._bit
            self._go_on(stream)

    def end(self, context_id: int) -> None:
        stream = streams.get(context_id)
        if isinstance(stream, HttpContext):
            stream._state |= ENDING


HttpContext.fetch = _fetch.fetch

_REQUEST = ("on_request_headers", "on_request_body", "on_request_trailers")
_RESPONSE = ("on_response_headers", "on_response_body", "on_response_trailers")
_await.DIRECTIONS.update(dict.fromkeys(_REQUEST, _Direction(REQUEST_PAUSED, ANSWERED, HttpContext.continue_request)))
_await.DIRECTIONS.update(dict.fromkeys(_RESPONSE, _Direction(RESPONSE_PAUSED, REPLACED, HttpContext.continue_response)))
_await.ASYNC[HttpContext] = (*_REQUEST, "on_request_complete", *_RESPONSE, "on_response_complete")
# Without a callback for it, the body or the trailers would let a paused request go on.
for _headers, _body, _trailers in (_REQUEST, _RESPONSE):
    _await.HELD_BACK |= {_headers: (_body, _trailers), _body: (_trailers,)}
