"""From the proxy's callbacks to the methods of an HTTP context, as `_dispatch` for TCP; the failure policy for requests.

`proxy_wasm.HttpContext` imports it (`__getattr__` in `__init__.py`), and it adds itself to what is registered.
"""

from __future__ import annotations

from types import CoroutineType

import _proxy_wasm

from proxy_wasm import _dispatch, _http, _register
from proxy_wasm._contexts import RootContext
from proxy_wasm._dispatch import CALLBACKS, FIRST, HTTP, QUICK, overrides, streams, undecided
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

    from proxy_wasm._bodies import Body
    from proxy_wasm._contexts import ActionOrLater
    from proxy_wasm._dispatch import Quick
    from proxy_wasm._headers import Headers

    _Tell = Callable[[HttpContext, int, bool], ActionOrLater]

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
        return _unmade(context_id, root, error)
    kept = _kept.get(http_class)
    if kept is None:
        kept = look_at(http_class)
    if kept or keep or _http.answers_wanted:
        streams[context_id] = stream
    return stream


_kept: dict[type[HttpContext], bool] = {}


def look_at(http_class: type[HttpContext]) -> bool:
    """Looks at a class of contexts, and tells whether they can be called after `on_request_headers`: else nobody needs them any more.

    The boundary calls it again if the class was changed.
    """
    kept = _dispatch.is_async(http_class.on_request_headers)
    kept = _kept[http_class] = kept or any(overrides(http_class, HttpContext, name) for name in _LATER)
    _dispatch.set_class(http_class, HTTP, HttpContext, kept or _http.answers_wanted, http_class._whole)
    return kept


def _unmade(context_id: int, root: RootContext, error: BaseException) -> HttpContext:
    """Returns what stands for a context whose constructor raised."""
    stream = streams[context_id] = _FailedRequest(context_id, root)
    _dispatch.log_error("proxy_on_context_create", context_id, error)
    return stream


def _set_layout() -> None:
    context_id, root, state = 1 << 40, RootContext(0), 1 << 41
    example = HttpContext(context_id, root)
    example._state = state
    _proxy_wasm.set_layout(HTTP, "http_context", _unmade, look_at, example, context_id, root, state)


_set_layout()


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
    if undecided:
        undecided.pop(context_id, None)
    stream: Any = streams.get(context_id)
    if isinstance(stream, HttpContext):
        stream._state |= ENDING
        # Nothing else is to be told that it is gone.
        if not _http.answers_wanted:
            del streams[context_id]
            stream.on_delete()
            return
    _dispatch.on_delete(context_id)


# ---- the request and its response


class _Side:
    """The request, or the response: the bits of its state, and its callbacks, which are the same for both."""

    def __init__(self, name: str, tell: _Tell, paused: int, over: int, complete: int, begun: int, sent: int) -> None:
        self._tell = tell
        self._paused = paused
        self._over = over  # what a local response or a reset leaves nothing to do with
        self._complete = complete
        self._begun = begun
        self._sent = sent
        self._headers: Headers = getattr(HttpContext, f"{name}_headers")
        self._body: Body = getattr(HttpContext, f"{name}_body")
        self._on_headers, self._on_body, self._on_trailers, self._on_complete = (f"on_{name}_{part}" for part in _PARTS)

    def callbacks(self) -> dict[str, Callable[..., ActionOrLater]]:
        """Returns the proxy's callbacks, each of which looks its stream up."""

        def on_headers(context_id: int, header_count: int, end_of_stream: int) -> ActionOrLater:
            if undecided:
                _decide(context_id)
            stream = streams.get(context_id)
            return self.tell_headers(stream, header_count, end_of_stream) if isinstance(stream, HttpContext) else None

        def on_body(context_id: int, size: int, end_of_stream: int) -> ActionOrLater:
            stream = streams.get(context_id)
            if not isinstance(stream, HttpContext):
                return None
            stream._state = stream._state & ~self._paused | self._sent
            result: ActionOrLater
            if not stream._whole & self._complete:
                result = getattr(stream, self._on_body)(size, end_of_stream != 0)
            elif end_of_stream:
                result = self._tell_whole(stream, None)
            else:
                # Once it was whole, nothing is held back any more.
                result = _CONTINUE if stream._state & self._complete else _PAUSE
            return self.went(stream, result)

        def on_trailers(context_id: int, trailer_count: int) -> ActionOrLater:
            stream = streams.get(context_id)
            if not isinstance(stream, HttpContext):
                return None
            stream._state = stream._state & ~self._paused | self._sent
            result = self._tell_whole(stream, None) if stream._whole & self._complete else None
            return self.went(stream, _then(result, lambda: getattr(stream, self._on_trailers)(trailer_count)))

        return {self._on_headers: on_headers, self._on_body: on_body, self._on_trailers: on_trailers}

    def tell_headers(self, stream: HttpContext, header_count: int, end_of_stream: int) -> ActionOrLater:
        """Tells a context of headers, and of its whole body if that is empty."""
        stream._state = stream._state & ~self._paused | self._begun  # what it returns decides anew
        whole = stream._whole & self._complete
        try:
            result = self._tell(stream, header_count, end_of_stream != 0)
        except BaseException:
            if whole and not end_of_stream:
                self._remove_length(stream)
            raise
        if whole:
            if end_of_stream:
                result = self._tell_whole(stream, result)
            elif isinstance(result, CoroutineType):
                result = self._remove_length_later(stream, result)
            else:
                self._remove_length(stream)
        return self.went(stream, result) if result is not None or stream._state & RESET else None

    def went(self, stream: HttpContext, result: ActionOrLater) -> ActionOrLater:
        """Writes down whether the side is held back now."""
        return self.after(stream, stream.context_id, result)

    def after(self, stream: HttpContext, _: int, result: ActionOrLater) -> ActionOrLater:
        """Does what `went` does, as the boundary asks for it. What is reset must not go on: Envoy would crash at its end."""
        if stream._state & RESET:
            return _PAUSE
        if result is _PAUSE and not stream._state & self._over:
            stream._state |= self._paused
        return result

    def quick(self) -> dict[str, Quick]:
        """Returns how the boundary makes the callbacks itself: as those below do for a class that does not want the body whole."""
        over = self._over | ENDING
        headers = HTTP, self._paused, self._begun, self._complete, RESET, over, self.after
        body = HTTP, self._paused, self._sent, self._complete, RESET, over, self.after
        return {self._on_headers: headers, self._on_body: body}

    # ---- whole bodies

    async def _remove_length_later(
        self, stream: HttpContext, result: Coroutine[Any, Any, Action | None]
    ) -> Action | None:
        try:
            return await result
        finally:
            self._remove_length(stream)

    def _remove_length(self, stream: HttpContext) -> None:
        """Removes the length of a body that may become another, whatever came of the headers' callback."""
        if stream._state & (self._over | ENDING):
            return
        # The callback may have spoken for another context.
        before = _proxy_wasm.speak_for(stream.context_id)
        del self._headers["content-length"]
        _proxy_wasm.speak_for(before)

    def _tell_whole(self, stream: HttpContext, result: ActionOrLater) -> ActionOrLater:
        """Tells a context of a whole body, once; with trailers that is known only when they come."""

        def tell() -> ActionOrLater:
            if stream._state & (self._complete | self._over):
                return None
            stream._state |= self._complete
            told: ActionOrLater = getattr(stream, self._on_complete)(self._body.read())
            return told

        return _then(result, tell)


# CPython finds a method by a name that is a constant much faster than by one that is data.
def _tell_request(stream: HttpContext, header_count: int, end_of_stream: bool) -> ActionOrLater:
    return stream.on_request_headers(header_count, end_of_stream)


def _tell_response(stream: HttpContext, header_count: int, end_of_stream: bool) -> ActionOrLater:
    return stream.on_response_headers(header_count, end_of_stream)


_PARTS = ("headers", "body", "trailers", "complete")
_REQUEST = _Side("request", _tell_request, REQUEST_PAUSED, ANSWERED, REQUEST_COMPLETE, 0, 0)
# Once the headers are sent, there is no answering any more.
_RESPONSE = _Side("response", _tell_response, RESPONSE_PAUSED, REPLACED, RESPONSE_COMPLETE, BEGUN, RESPONDING)


def on_request(context_id: int, root: RootContext, header_count: int, end_of_stream: int) -> ActionOrLater:
    """Makes a request's context and tells it of its headers: one call instead of two."""
    stream = make(context_id, root, keep=False)
    if stream is None:
        return None
    try:
        return _REQUEST.tell_headers(stream, header_count, end_of_stream)
    except BaseException:
        # The failure policy must know what became of it.
        streams[context_id] = stream
        raise


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
            return _REQUEST.went(stream, action)
        else:
            return _RESPONSE.went(stream, action)
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

_OWN: tuple[Callable[..., Any], ...] = (on_new_connection, on_done, on_log, on_delete)
CALLBACKS.update({function.__name__: function for function in _OWN})
CALLBACKS.update(_REQUEST.callbacks() | _RESPONSE.callbacks())
QUICK.update(_REQUEST.quick() | _RESPONSE.quick())
QUICK["on_delete"] = HTTP, 0, ENDING, 0, 0, 0, None
FIRST["on_request_headers"] = on_request
_register.BASES["http_context"] = HttpContext
_register.NEEDED_BY.update(
    {f"on_{side}_{part}": f"on_{side}_complete" for side in ("request", "response") for part in _PARTS[:3]}
)
_dispatch.make_http, _dispatch.fail_http = on_context_create, on_error
