"""From the proxy's callbacks to the methods of an HTTP context, as `_dispatch` for TCP; the failure policy for requests.

`proxy_wasm.HttpContext` imports it (`__getattr__` in `__init__.py`), and it adds itself to what is registered.
"""

from __future__ import annotations

from types import CoroutineType

from proxy_wasm import _dispatch, _register
from proxy_wasm._dispatch import CALLBACKS, FIRST, overrides, streams, undecided
from proxy_wasm._http_contexts import (
    ANSWERED,
    BEGUN,
    ENDING,
    REPLACED,
    REQUEST_COMPLETE,
    REQUEST_PAUSED,
    RESET,
    RESPONDING,
    RESPONSE_COMPLETE,
    RESPONSE_PAUSED,
    HttpContext,
    StreamStateError,
)
from proxy_wasm._types import Action, FailurePolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from proxy_wasm._contexts import ActionOrLater, RootContext

__all__ = ["HttpContext", "StreamStateError"]

_CONTINUE, _PAUSE = Action.CONTINUE, Action.PAUSE
_STATUS, _DETAILS = 500, "python_exception"
_LATER = frozenset(name for name in vars(HttpContext) if name.startswith("on_")) - {"on_request_headers"}


# ---- the life of the contexts


def make(context_id: int, root: RootContext, keep: bool = True) -> HttpContext | None:
    """Makes a request's context, and keeps it if its class says so, or if it is to be kept.

    If the constructor raises, a context that does what the failure policy says stands for it.
    """
    http_class = root.http_context
    if http_class is None:
        return None
    try:
        stream = http_class(context_id, root)
    except BaseException as error:
        stream = streams[context_id] = _FailedRequest(context_id, root)
        _dispatch.log_error("proxy_on_context_create", context_id, error)
        return stream
    if keep or (http_class not in _brief and _is_kept(http_class)):
        streams[context_id] = stream
    return stream


_brief: set[type[HttpContext]] = set()


def _is_kept(http_class: type[HttpContext]) -> bool:
    """Tells whether a class's contexts can be called after `on_request_headers`: else nobody needs them any more."""
    waits = _dispatch.answers_wanted or _dispatch.is_async(http_class.on_request_headers)
    if waits or any(overrides(http_class, HttpContext, name) for name in _LATER):
        return True
    _brief.add(http_class)
    return False


def on_context_create(context_id: int, root: RootContext) -> None:
    if root.stream_context is None:
        make(context_id, root)
    else:
        undecided[context_id] = root


def on_new_connection(context_id: int) -> ActionOrLater:
    root = undecided.pop(context_id, None)
    return _dispatch.on_new_connection(context_id) if root is None else _dispatch.on_connection(context_id, root)


def _decide(context_id: int) -> None:
    """Makes an HTTP context of a stream whose first callback is not one of TCP's."""
    root = undecided.pop(context_id, None)
    if root is not None:
        make(context_id, root)


def _end(context_id: int) -> None:
    if undecided:
        _decide(context_id)
    stream = streams.get(context_id)
    if isinstance(stream, HttpContext):
        stream._state |= ENDING


def on_done(context_id: int) -> bool:
    _end(context_id)
    return _dispatch.on_done(context_id)


def on_log(context_id: int) -> None:
    _end(context_id)
    _dispatch.on_log(context_id)


def on_delete(context_id: int) -> None:
    undecided.pop(context_id, None)
    _end(context_id)
    _dispatch.on_delete(context_id)


# ---- the request


def on_request(context_id: int, root: RootContext, header_count: int, end_of_stream: int) -> ActionOrLater:
    """Makes a request's context and tells it of its headers: one call instead of two."""
    stream = make(context_id, root, keep=False)
    return None if stream is None else _request_headers(stream, header_count, end_of_stream)


def on_request_headers(context_id: int, header_count: int, end_of_stream: int) -> ActionOrLater:
    if undecided:
        _decide(context_id)
    stream = streams.get(context_id)
    return _request_headers(stream, header_count, end_of_stream) if isinstance(stream, HttpContext) else None


def _request_headers(stream: HttpContext, header_count: int, end_of_stream: int) -> ActionOrLater:
    completes = overrides(type(stream), HttpContext, "on_request_complete")
    if completes and not end_of_stream:
        del stream.request_headers["content-length"]
    result = stream.on_request_headers(header_count, end_of_stream != 0)
    if completes and end_of_stream:
        result = _complete(stream, result, REQUEST_COMPLETE)
    return _request_went(stream, result)


def on_request_body(context_id: int, size: int, end_of_stream: int) -> ActionOrLater:
    stream = streams.get(context_id)
    if not isinstance(stream, HttpContext):
        return None
    stream._state &= ~REQUEST_PAUSED  # what it returns decides anew
    if overrides(type(stream), HttpContext, "on_request_complete"):
        result = _complete(stream, None, REQUEST_COMPLETE) if end_of_stream else _held(stream, REQUEST_COMPLETE)
    else:
        result = stream.on_request_body(size, end_of_stream != 0)
    return _request_went(stream, result)


def on_request_trailers(context_id: int, trailer_count: int) -> ActionOrLater:
    stream = streams.get(context_id)
    if not isinstance(stream, HttpContext):
        return None
    stream._state &= ~REQUEST_PAUSED  # what it returns decides anew
    result: ActionOrLater = None
    if overrides(type(stream), HttpContext, "on_request_complete"):
        result = _complete(stream, None, REQUEST_COMPLETE)
    return _request_went(stream, _then(result, lambda: stream.on_request_trailers(trailer_count)))


def _request_went(stream: HttpContext, result: ActionOrLater) -> ActionOrLater:
    """Writes down whether the request is held back now; what is reset must not go on: Envoy would crash at its end."""
    if stream._state & RESET:
        return _PAUSE
    if result is _PAUSE and not stream._state & ANSWERED:
        stream._state |= REQUEST_PAUSED
    return result


# ---- the response


def on_response_headers(context_id: int, header_count: int, end_of_stream: int) -> ActionOrLater:
    stream = streams.get(context_id)
    if not isinstance(stream, HttpContext):
        return None
    stream._state = stream._state & ~RESPONSE_PAUSED | BEGUN  # what it returns decides anew
    completes = overrides(type(stream), HttpContext, "on_response_complete")
    if completes and not end_of_stream:
        del stream.response_headers["content-length"]
    result = stream.on_response_headers(header_count, end_of_stream != 0)
    if completes and end_of_stream:
        result = _complete(stream, result, RESPONSE_COMPLETE)
    return _response_went(stream, result)


def on_response_body(context_id: int, size: int, end_of_stream: int) -> ActionOrLater:
    stream = streams.get(context_id)
    if not isinstance(stream, HttpContext):
        return None
    stream._state &= ~RESPONSE_PAUSED  # what it returns decides anew
    stream._state |= RESPONDING  # the headers are sent: there is no answering any more
    if overrides(type(stream), HttpContext, "on_response_complete"):
        result = _complete(stream, None, RESPONSE_COMPLETE) if end_of_stream else _held(stream, RESPONSE_COMPLETE)
    else:
        result = stream.on_response_body(size, end_of_stream != 0)
    return _response_went(stream, result)


def on_response_trailers(context_id: int, trailer_count: int) -> ActionOrLater:
    stream = streams.get(context_id)
    if not isinstance(stream, HttpContext):
        return None
    stream._state &= ~RESPONSE_PAUSED  # what it returns decides anew
    stream._state |= RESPONDING
    result: ActionOrLater = None
    if overrides(type(stream), HttpContext, "on_response_complete"):
        result = _complete(stream, None, RESPONSE_COMPLETE)
    return _response_went(stream, _then(result, lambda: stream.on_response_trailers(trailer_count)))


def _response_went(stream: HttpContext, result: ActionOrLater) -> ActionOrLater:
    """Writes down whether the response is held back now; what is reset must not go on: Envoy would crash at its end."""
    if stream._state & RESET:
        return _PAUSE
    if result is _PAUSE and not stream._state & REPLACED:
        stream._state |= RESPONSE_PAUSED
    return result


# ---- whole bodies


def _held(stream: HttpContext, complete: int) -> Action:
    """Holds back what came, until the body is whole; once it was, nothing is held back any more."""
    return _CONTINUE if stream._state & complete else _PAUSE


def _complete(stream: HttpContext, result: ActionOrLater, complete: int) -> ActionOrLater:
    """Tells a context of a whole body, once; with trailers that is known only when they come."""

    def tell() -> ActionOrLater:
        if stream._state & (complete | (ANSWERED if complete == REQUEST_COMPLETE else REPLACED)):
            return None
        stream._state |= complete
        if complete == REQUEST_COMPLETE:
            return stream.on_request_complete(stream.request_body.read())
        return stream.on_response_complete(stream.response_body.read())

    return _then(result, tell)


def _then(first: ActionOrLater, call: Callable[[], ActionOrLater]) -> ActionOrLater:
    """Returns what two methods for one callback say together; the second is called when the first is over."""
    return _both_later(first, call) if isinstance(first, CoroutineType) else _both(first, call())


async def _both_later(first: Coroutine[Any, Any, Action | None], call: Callable[[], ActionOrLater]) -> Action | None:
    result = _both(await first, call())
    return await result if isinstance(result, CoroutineType) else result  # type: ignore[return-value]


def _both(one: ActionOrLater, other: ActionOrLater) -> ActionOrLater:
    """Returns what two methods say together: going on is no objection to what the other says."""
    return one if other is None or (other is _CONTINUE and one is not None) else other


# ---- failures


class _FailedRequest(HttpContext):
    """Stands where a context's constructor raised: its first callback does what the failure policy says."""

    def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        return fail(self, self.root)

    def on_request_body(self, size: int, end_of_stream: bool) -> Action | None:
        return fail(self, self.root)

    def on_request_trailers(self, trailer_count: int) -> Action | None:
        return fail(self, self.root)

    def on_response_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
        return fail(self, self.root)

    def on_response_body(self, size: int, end_of_stream: bool) -> Action | None:
        return fail(self, self.root)

    def on_response_trailers(self, trailer_count: int) -> Action | None:
        return fail(self, self.root)

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        pass


def fail(stream: HttpContext, root: RootContext) -> Action:
    """Does what the failure policy says, and returns what the callback is to return.

    A request that is answered, or over, is left alone. One that fails is closed by a response of Envoy's, or by a reset once the
    response's headers are gone.
    """
    if stream._state & (ANSWERED | ENDING):
        return _CONTINUE
    if root.failure_policy is FailurePolicy.CLOSE:
        if stream._state & RESPONDING:
            stream.reset()
        else:
            stream.send_response(_STATUS, details=_DETAILS)
        return _PAUSE
    return _CONTINUE


def on_error(callback: str, context_id: int, stream: object, root: RootContext) -> Any:
    """Applies the failure policy to a request; None if it is a connection's callback."""
    if not isinstance(stream, HttpContext):
        # A context that nobody needs after its first callback is not kept.
        if stream is not None or callback != "proxy_on_request_headers":
            return None
        stream = HttpContext(context_id, root)
    if callback == "proxy_on_context_create":
        return 0
    try:
        action = fail(stream, root)
        if callback == "proxy_on_http_call_response" or callback.startswith("proxy_on_grpc_"):
            # Whoever waits for an answer has paused the request, or the response.
            if action is _CONTINUE:
                _go_on(stream)
        elif callback.startswith("proxy_on_request_"):
            return _request_went(stream, action)
        else:
            return _response_went(stream, action)
    except BaseException:
        return _PAUSE if root.failure_policy is FailurePolicy.CLOSE else _CONTINUE
    return action


def _go_on(stream: HttpContext) -> None:
    if stream._state & ENDING:
        return
    if stream._state & REQUEST_PAUSED:
        stream.continue_request()
    if stream._state & RESPONSE_PAUSED:
        stream.continue_response()


# ---- what is registered

_PARTS = ("headers", "body", "trailers", "complete")
_OWN: tuple[Callable[..., Any], ...] = (
    on_new_connection,
    on_request_headers,
    on_request_body,
    on_request_trailers,
    on_response_headers,
    on_response_body,
    on_response_trailers,
    on_done,
    on_log,
    on_delete,
)
CALLBACKS.update({function.__name__: function for function in _OWN})
FIRST["on_request_headers"] = on_request
_register.BASES["http_context"] = HttpContext
_register.NEEDED_BY.update(
    {f"on_{side}_{part}": f"on_{side}_complete" for side in ("request", "response") for part in _PARTS[:3]}
)
_dispatch.make_http, _dispatch.fail_http = on_context_create, on_error
