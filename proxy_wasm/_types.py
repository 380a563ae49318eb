"""The numbers of the Proxy-Wasm ABI, by name."""

from enum import Enum, IntEnum


class Action(IntEnum):
    """What the proxy does after a callback: go on to the next filter, or stop here until told to continue."""

    CONTINUE = 0
    PAUSE = 1


class LogLevel(IntEnum):
    """The severity of a log line."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    CRITICAL = 5


class PeerType(IntEnum):
    """Who closed a connection: the proxy itself (local) or the other end (remote)."""

    UNKNOWN = 0
    LOCAL = 1
    REMOTE = 2


class Buffer(IntEnum):
    """The buffers a TCP filter can meet; the ABI's other numbers belong to HTTP and gRPC."""

    DOWNSTREAM_DATA = 2
    UPSTREAM_DATA = 3
    HTTP_CALL_RESPONSE_BODY = 4
    VM_CONFIGURATION = 6
    PLUGIN_CONFIGURATION = 7
    FOREIGN_FUNCTION_ARGUMENTS = 8


class HeaderMap(IntEnum):
    """The header maps a TCP filter can meet."""

    HTTP_CALL_RESPONSE_HEADERS = 6
    HTTP_CALL_RESPONSE_TRAILERS = 7


class MetricKind(IntEnum):
    """The kinds of a metric."""

    COUNTER = 0
    GAUGE = 1
    HISTOGRAM = 2


class StreamType(IntEnum):
    """The two directions of a TCP stream, as continue and close name them."""

    DOWNSTREAM = 2
    UPSTREAM = 3


class FailurePolicy(Enum):
    """What becomes of a connection when a callback of its filter raises."""

    CONTINUE = "continue"
    CLOSE = "close"
