"""Proxy-Wasm filters for TCP connections and HTTP requests, in Python: subclass the contexts, override what matters, call `register`."""

try:
    import _proxy_wasm  # noqa: F401
except ModuleNotFoundError:
    # Outside a module the boundary to the proxy is missing: the tests' stand-in takes its place.
    import proxy_wasm.testing.boundary  # noqa: F401

from proxy_wasm._calls import (
    call_foreign_function,
    close_downstream,
    close_upstream,
    continue_downstream,
    continue_upstream,
    critical,
    current_time_nanoseconds,
    debug,
    define_metric,
    dequeue_shared_queue,
    done,
    enqueue_shared_queue,
    error,
    get_buffer,
    get_buffer_status,
    get_log_level,
    get_metric,
    get_property,
    get_shared_data,
    increment_metric,
    info,
    log,
    log_enabled,
    packed_address,
    property_path,
    record_metric,
    register_shared_queue,
    resolve_shared_queue,
    set_buffer,
    set_property,
    set_shared_data,
    set_tick_period,
    trace,
    warn,
)
from proxy_wasm._contexts import RootContext, StreamContext
from proxy_wasm._errors import (
    BadArgumentError,
    BadExpressionError,
    BrokenConnectionError,
    CasMismatchError,
    EmptyError,
    HostError,
    InternalFailureError,
    InvalidMemoryAccessError,
    NotFoundError,
    ParseFailureError,
    ResultMismatchError,
    SerializationFailureError,
    UnimplementedError,
)
from proxy_wasm._http import HttpAnswer, get_header, get_header_map, get_http_answer, http_call, set_effective_context
from proxy_wasm._register import register
from proxy_wasm._types import Action, Buffer, FailurePolicy, HeaderMap, LogLevel, MetricKind, PeerType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proxy_wasm._bodies import Body
    from proxy_wasm._headers import Headers
    from proxy_wasm._http_contexts import HttpContext, StreamStateError
    from proxy_wasm._tasks import gather

_LAZY = {
    "Body": "_bodies",
    "Headers": "_headers",
    "HttpContext": "_http_dispatch",
    "StreamStateError": "_http_dispatch",
    "gather": "_tasks",
}
"""What only some filters have, by the module that it is in; an import statement would put it into every filter."""

__all__ = [
    "Action",
    "BadArgumentError",
    "BadExpressionError",
    "Body",
    "BrokenConnectionError",
    "Buffer",
    "CasMismatchError",
    "EmptyError",
    "FailurePolicy",
    "HeaderMap",
    "Headers",
    "HostError",
    "HttpAnswer",
    "HttpContext",
    "InternalFailureError",
    "InvalidMemoryAccessError",
    "LogLevel",
    "MetricKind",
    "NotFoundError",
    "ParseFailureError",
    "PeerType",
    "ResultMismatchError",
    "RootContext",
    "SerializationFailureError",
    "StreamContext",
    "StreamStateError",
    "UnimplementedError",
    "call_foreign_function",
    "close_downstream",
    "close_upstream",
    "continue_downstream",
    "continue_upstream",
    "critical",
    "current_time_nanoseconds",
    "debug",
    "define_metric",
    "dequeue_shared_queue",
    "done",
    "enqueue_shared_queue",
    "error",
    "gather",
    "get_buffer",
    "get_buffer_status",
    "get_header",
    "get_header_map",
    "get_http_answer",
    "get_log_level",
    "get_metric",
    "get_property",
    "get_shared_data",
    "http_call",
    "increment_metric",
    "info",
    "log",
    "log_enabled",
    "packed_address",
    "property_path",
    "record_metric",
    "register",
    "register_shared_queue",
    "resolve_shared_queue",
    "set_buffer",
    "set_effective_context",
    "set_property",
    "set_shared_data",
    "set_tick_period",
    "trace",
    "warn",
]


def __dir__() -> list[str]:
    return [*globals(), *_LAZY]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"{__name__}.{_LAZY[name]}", fromlist=[name]), name)
