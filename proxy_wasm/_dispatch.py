"""From the proxy's callbacks to the contexts' methods.

The proxy knows a context by its number. Each function here looks the number up and calls one method: one lookup, one
call. A number nobody knows (its constructor raised, or the plugin has no stream context) is answered as if there were
no filter. An exception goes to `on_error`, which logs it and applies the failure policy; nothing leaves as a trap. What a callback
returns for an action is checked by the boundary: None, or an Action.
"""

from __future__ import annotations

import sys

import _proxy_wasm

from proxy_wasm import _errors, _http, _logging
from proxy_wasm._calls import close_downstream, continue_downstream, get_property, property_path
from proxy_wasm._contexts import RootContext, StreamContext
from proxy_wasm._errors import BadArgumentError
from proxy_wasm._types import Action, Buffer, FailurePolicy, LogLevel, PeerType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proxy_wasm._contexts import ActionOrLater

    Quick = tuple[int, int, int, int, int, int, Callable[..., Any] | None]
    from proxy_wasm._http_contexts import HttpContext

root_classes: dict[str | None, type[RootContext]] = {}
roots: dict[int, RootContext] = {}
streams: dict[int, StreamContext | HttpContext] = _proxy_wasm.Table()

# What follows is for filters with HTTP: `_http_dispatch` changes it when it is imported.
undecided: dict[int, RootContext] = {}
"""Streams whose root has contexts for TCP and for HTTP: which one is made is seen by the first callback."""

make_http: Callable[[int, RootContext], None] | None = None
fail_http: Callable[[str, int, object, RootContext], int | None] | None = None
"""Applies the failure policy to a request and returns the callback's result; None if it is no HTTP."""

_PEERS = tuple(PeerType)
_COROUTINE = 0x80


# ---- the life of the contexts


def on_context_create(context_id: int, parent_context_id: int) -> None:
    root = roots.get(parent_context_id)
    if root is None:
        if parent_context_id == 0:
            _errors.in_proxy = True
            roots[context_id] = _root_class()(context_id)
    elif root.http_context is not None and make_http is not None:
        make_http(context_id, root)
    elif root.stream_context is not None:
        try:
            streams[context_id] = root.stream_context(context_id, root)
        except BaseException:
            streams[context_id] = _FailedStream(context_id, root)
            raise


def on_connection(context_id: int, root: RootContext) -> ActionOrLater:
    """Makes a stream context and tells it of its connection: one call instead of two, for most connections the only one.

    The boundary holds `on_context_create` back until a stream's first callback, and this is what it calls if that is
    `on_new_connection`; it asks `streams` and `roots` whether `on_delete` concerns anyone.
    """
    stream_class = root.stream_context
    if stream_class is None:
        return None
    try:
        stream = stream_class(context_id, root)
    except BaseException as error:
        return unmade(context_id, root, error).on_new_connection()
    if not isinstance(stream_class, type):
        stream_class = stream_class.stream_class  # a router
    kept = _kept.get(stream_class)
    if kept is None:
        kept = look_at(stream_class)
    if kept:
        streams[context_id] = stream
    return stream.on_new_connection()


_kept: dict[type[StreamContext], bool] = {}


def look_at(stream_class: type[StreamContext]) -> bool:
    """Looks at a class of streams, and tells whether they are kept; the boundary calls it again if the class was changed."""
    kept = _kept[stream_class] = _is_kept(stream_class)
    set_class(stream_class, TCP, StreamContext, kept)
    return kept


def _is_kept(stream_class: type[StreamContext]) -> bool:
    """Tells whether a class's streams can be called after `on_new_connection`: else nobody needs them any more."""
    # A coroutine may have to be closed.
    return is_async(stream_class.on_new_connection) or any(
        overrides(stream_class, StreamContext, name)
        for name in vars(StreamContext)
        if name.startswith("on_") and name != "on_new_connection"
    )


# ---- without the functions of this module: the boundary's quick ways (contexts.h)

TCP, HTTP = 0, 1
_PLAIN, _KEPT, _SILENT = 1, 2, 4


def set_class(cls: type, kind: int, base: Any, kept: bool, facts: int = 0) -> None:
    """Tells the boundary what a class of streams is like. It makes such streams from then on, and calls their methods itself."""
    plain = type(cls) is type and all(
        getattr(cls, name) is getattr(base, name) for name in (*base.__slots__, "__init__", "__new__", "__setattr__")
    )
    silent = not overrides(cls, base, "on_delete")
    _proxy_wasm.set_class(cls, kind, facts | _PLAIN * plain | _KEPT * kept | _SILENT * silent)


def overrides(cls: type | None, base: type, method: str) -> bool:
    """Tells whether a class has a method of its own in place of its base's."""
    return cls is not None and getattr(cls, method, None) is not getattr(base, method, None)


def is_async(method: Any) -> bool:
    """Tells whether a method is `async def`, or wraps one."""
    while method is not None and not getattr(getattr(method, "__code__", None), "co_flags", 0) & _COROUTINE:
        method = getattr(method, "__wrapped__", None)
    return method is not None


def unmade(context_id: int, root: RootContext, error: BaseException) -> StreamContext:
    """Returns what stands for a stream whose constructor raised."""
    failed = streams[context_id] = _FailedStream(context_id, root)
    on_error("proxy_on_context_create", context_id, error)
    return failed


class _FailedStream(StreamContext):
    """Stands where a stream context's constructor raised."""

    def on_new_connection(self) -> Action:
        return Action.PAUSE if self.root.failure_policy is FailurePolicy.CLOSE else Action.CONTINUE

    def on_downstream_data(self, size: int, end_of_stream: bool) -> Action:
        return self.on_new_connection()

    def on_upstream_data(self, size: int, end_of_stream: bool) -> Action:
        return self.on_new_connection()

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        pass


def _set_layout() -> None:
    context_id, root = 1 << 40, RootContext(0)
    _proxy_wasm.set_layout(TCP, "stream_context", unmade, look_at, StreamContext(context_id, root), context_id, root)


_set_layout()


def _root_class() -> type[RootContext]:
    if len(root_classes) == 1 and None in root_classes:
        return root_classes[None]
    root_id = (get_property(property_path("plugin_root_id")) or b"").decode("utf-8", "replace")
    cls = root_classes.get(root_id) or root_classes.get(None)
    # No proxy's root id has bytes that are no text: a training asks so which ids there are.
    if cls is None or "\ufffd" in root_id:
        raise LookupError(f"no root context is registered for root id {root_id!r}; registered: {[*root_classes]}")
    return cls


def on_done(context_id: int) -> bool:
    context = _context(context_id)
    return True if context is None else _accepted("on_done", context.on_done())


def on_log(context_id: int) -> None:
    context = _context(context_id)
    if context is not None:
        context.on_log()


def on_delete(context_id: int) -> None:
    context: RootContext | StreamContext | HttpContext | None = streams.pop(context_id, None)
    if context is None:
        context = roots.pop(context_id, None)
    try:
        if context is not None:
            context.on_delete()
    finally:
        if _http.answers_wanted:
            _http.forget_caller(context_id)


def _context(context_id: int) -> RootContext | StreamContext | HttpContext | None:
    stream = streams.get(context_id)
    return roots.get(context_id) if stream is None else stream


def _accepted(method: str, result: bool | None) -> bool:
    """Reads an author's answer to a yes-or-no callback: a method that returns nothing had no objection."""
    if result is None or result is True or result is False:
        return result is not False
    raise TypeError(f"{method}() returned {result!r}: return True, False, or nothing")


# ---- the plugin


def on_vm_start(context_id: int, configuration_size: int) -> bool:
    _logging.install()
    # What was random at build time is the same in every VM, and public.
    if "random" in sys.modules:
        sys.modules["random"].seed()
    root = roots.get(context_id)
    if root is None:
        return False
    return _accepted("on_vm_start", root.on_vm_start(_read(Buffer.VM_CONFIGURATION, configuration_size)))


def on_configure(context_id: int, configuration_size: int) -> bool:
    root = roots.get(context_id)
    if root is None:
        return False
    return _accepted("on_configure", root.on_configure(_read(Buffer.PLUGIN_CONFIGURATION, configuration_size)))


def on_tick(context_id: int) -> None:
    root = roots.get(context_id)
    if root is not None:
        root.on_tick()


def on_queue_ready(context_id: int, queue: int) -> None:
    root = roots.get(context_id)
    if root is not None:
        root.on_queue_ready(queue)


def on_foreign_function(context_id: int, function_id: int, argument_size: int) -> None:
    root = roots.get(context_id)
    if root is not None:
        root.on_foreign_function(function_id, _read(Buffer.FOREIGN_FUNCTION_ARGUMENTS, argument_size))


def on_http_call_response(context_id: int, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
    """Takes an answer to the context that asked; the proxy tells the root of it, whoever that was.

    An answer whose connection is gone is nobody's. A stream that is not kept leaves its own to the root, as `StreamContext` does.
    The failure policy is the asking context's, so exceptions end here.
    """
    caller = _http.take_caller(call)
    if caller is None:
        return
    context = _context(caller) or roots.get(context_id)
    if context is None:
        return
    if caller != context_id:
        try:
            _http.set_effective_context(caller)
        except BadArgumentError:
            return
    try:
        context.on_http_call_response(call, header_count, body_size, trailer_count)
    except BaseException as error:
        on_error("proxy_on_http_call_response", caller, error, context_id if caller != context_id else 0)


def _read(buffer: Buffer, size: int) -> bytes:
    return (_proxy_wasm.proxy_get_buffer_bytes(buffer, 0, size) or b"") if size else b""


# ---- the connection


def on_new_connection(context_id: int) -> ActionOrLater:
    stream: Any = streams.get(context_id)
    return None if stream is None else stream.on_new_connection()


def on_downstream_data(context_id: int, size: int, end_of_stream: int) -> ActionOrLater:
    stream: Any = streams.get(context_id)
    return None if stream is None else stream.on_downstream_data(size, end_of_stream != 0)


def on_upstream_data(context_id: int, size: int, end_of_stream: int) -> int | None:
    stream: Any = streams.get(context_id)
    return None if stream is None else stream.on_upstream_data(size, end_of_stream != 0)


def on_downstream_connection_close(context_id: int, close_type: int) -> None:
    stream: Any = streams.get(context_id)
    if stream is not None:
        stream.on_downstream_connection_close(_peer(close_type))


def on_upstream_connection_close(context_id: int, close_type: int) -> None:
    stream: Any = streams.get(context_id)
    if stream is not None:
        stream.on_upstream_connection_close(_peer(close_type))


def _peer(close_type: int) -> PeerType:
    return _PEERS[close_type] if close_type < len(_PEERS) else PeerType.UNKNOWN


# ---- what is registered, by the method's name

FIRST: dict[str, Callable[..., Any]] = {"on_new_connection": on_connection}
"""What makes a stream and tells it of its first callback."""

QUICK: dict[str, Quick] = dict.fromkeys(
    ("on_new_connection", "on_downstream_data", "on_upstream_data", "on_delete"), (TCP, 0, 0, 0, 0, 0, None)
)
"""Callbacks that the boundary makes itself: what it takes for each (`Quick` in streams.h) behind the method's name."""

CALLBACKS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        on_context_create,
        on_vm_start,
        on_configure,
        on_tick,
        on_queue_ready,
        on_foreign_function,
        on_http_call_response,
        on_new_connection,
        on_downstream_data,
        on_upstream_data,
        on_downstream_connection_close,
        on_upstream_connection_close,
        on_done,
        on_log,
        on_delete,
    )
}

# ---- failures

# The connection is over or nearly so: there is nothing left to continue or to close.
_ENDINGS = (
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_connection_close",
    "proxy_on_log",
    "proxy_on_delete",
)


def on_error(callback: str, context_id: int, error: BaseException, parent_context_id: int = 0) -> int:
    """Logs a callback's exception and returns the callback's result by the failure policy; never raises.

    The parent is given for a stream that need not be kept.
    """
    log_error(callback, context_id, error)
    if callback == "proxy_on_done":
        return 1
    stream: Any = streams.get(context_id)
    # A constructor need not have called the base class's.
    root = roots.get(parent_context_id) if stream is None else getattr(stream, "root", None)
    if root is None or callback in _ENDINGS:
        return 0
    if fail_http is not None:
        answer = fail_http(callback, context_id, stream, root)
        if answer is not None:
            return answer
    action, act = Action.CONTINUE, None
    if root.failure_policy is FailurePolicy.CLOSE:
        action, act = Action.PAUSE, close_downstream
    elif callback == "proxy_on_http_call_response" or callback.startswith("proxy_on_grpc_"):
        # Whoever waits for an answer has paused the connection.
        act = continue_downstream
    if act is not None:
        # The callback may have spoken for another context when it raised.
        _try(_proxy_wasm.proxy_set_effective_context, context_id)
        _try(act)
    return action


def log_error(callback: str, context_id: int, error: BaseException) -> None:
    """Logs a callback's exception; the failure policy must hold even if the log does not."""
    try:
        for line in _logging.traceback_lines(error):
            _logging.log_text(LogLevel.ERROR, f"{callback} (context {context_id}): {line}")
    except BaseException:
        return


def _try(call: Callable[..., None], *arguments: int) -> None:
    try:
        call(*arguments)
    except BaseException:
        return
