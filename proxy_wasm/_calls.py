"""The host calls, as a filter's author makes them.

Where the ABI's own shape is already a good Python function, the name is the C function itself: nothing stands between a
connection and the proxy. The others add a default, an enumeration or an encoding, and no more.
"""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm._errors import HostError, raise_for_status
from proxy_wasm._types import StreamType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proxy_wasm._types import Buffer

_proxy_wasm.set_status_handler(raise_for_status)

_U32_MAX = 0xFFFFFFFF
_DOWNSTREAM = int(StreamType.DOWNSTREAM)
_UPSTREAM = int(StreamType.UPSTREAM)

# ---- log

log = _proxy_wasm.proxy_log
"""Logs a line, `(level, message)`: the level is a `LogLevel`. BadArgumentError: there is no such level."""

get_log_level = _proxy_wasm.proxy_get_log_level
"""Returns the lowest level of which the proxy writes lines, as a number of `LogLevel`."""


def _log(level: int, message: str | bytes) -> None:
    try:
        log(level, message)
    except HostError:
        return  # a line that the proxy refuses is lost, and decides about nothing


def log_enabled(level: int) -> bool:
    """Tells whether the proxy writes lines of this level, so that a line nobody reads need not be formatted.

    A proxy that does not let the filter ask may write them all.
    """
    try:
        return level >= get_log_level()
    except HostError:
        return True


def trace(message: str | bytes) -> None:
    """Logs a line at level trace."""
    _log(0, message)


def debug(message: str | bytes) -> None:
    """Logs a line at level debug."""
    _log(1, message)


def info(message: str | bytes) -> None:
    """Logs a line at level info."""
    _log(2, message)


def warn(message: str | bytes) -> None:
    """Logs a line at level warn."""
    _log(3, message)


def error(message: str | bytes) -> None:
    """Logs a line at level error."""
    _log(4, message)


def critical(message: str | bytes) -> None:
    """Logs a line at level critical."""
    _log(5, message)


# ---- properties

get_property = _proxy_wasm.proxy_get_property
"""Returns the bytes of a property by its path, `(path)`, which `property_path` encodes; None if there is no such property now."""

set_property = _proxy_wasm.proxy_set_property
"""Sets a property of the connection or request, `(path, value)`: an object of its filter state, of one segment."""


def property_path(*segments: str | bytes) -> bytes:
    """Returns the encoded path of a property from its segments ("source", "address"), to be made once."""
    return b"\0".join([segment.encode() if isinstance(segment, str) else segment for segment in segments])


packed_address = _proxy_wasm.packed_address
"""Returns the 4 or 16 bytes of the IP address in an address as Envoy writes it, `(address)`; None if there is no IP address in it."""

# ---- buffers and streams

get_buffer_status = _proxy_wasm.proxy_get_buffer_status
"""Returns a buffer's size in bytes and its flags, `(buffer)`: the buffer is a `Buffer`; None if there is none."""

set_buffer = _proxy_wasm.proxy_set_buffer_bytes
"""Writes into a buffer, `(buffer, start, length, value)`: the value takes the place of `length` bytes from `start` on.

Envoy replaces from the front or appends. BadArgumentError: the place is in the middle, or there is no such buffer now.
"""


def get_buffer(buffer: Buffer, start: int = 0, length: int | None = None) -> bytes | None:
    """Returns a buffer's bytes, to its end if no length is given.

    A data buffer that the proxy does not hold just now is empty. None: the body of an answer, or the plugin's configuration, outside
    of its callback.
    """
    # The host adds the two in 32 bits: a sum past the end would be refused.
    return _proxy_wasm.proxy_get_buffer_bytes(buffer, start, _U32_MAX - start if length is None else length)


def continue_downstream() -> None:
    """Lets the connection go on after a callback returned Action.PAUSE, with the bytes that were held back."""
    _proxy_wasm.proxy_continue_stream(_DOWNSTREAM)


def continue_upstream() -> None:
    """Lets bytes from the upstream server flow again; Envoy does not offer it: UnimplementedError."""
    _proxy_wasm.proxy_continue_stream(_UPSTREAM)


def close_downstream() -> None:
    """Closes the client's connection."""
    _proxy_wasm.proxy_close_stream(_DOWNSTREAM)


def close_upstream() -> None:
    """Closes the connection on the upstream side."""
    _proxy_wasm.proxy_close_stream(_UPSTREAM)


# ---- foreign functions

call_foreign_function = _proxy_wasm.proxy_call_foreign_function
"""Calls a function of the proxy's own, `(name, argument)`, and returns its bytes. NotFoundError: the proxy has no such function."""

# ---- shared data and queues

get_shared_data = _proxy_wasm.proxy_get_shared_data
"""Returns a shared value and its `cas` number, `(key)`; None if nobody has written it."""

register_shared_queue = _proxy_wasm.proxy_register_shared_queue
"""Makes a queue, `(name)`, or takes one over, and returns its number; `on_queue_ready` is then called for its entries."""

resolve_shared_queue = _proxy_wasm.proxy_resolve_shared_queue
"""Returns the number of a queue that a VM made, `(vm_id, name)`; None if there is none."""

dequeue_shared_queue = _proxy_wasm.proxy_dequeue_shared_queue
"""Takes a queue's next entry, `(queue)`, and returns its bytes; None if it is empty."""

enqueue_shared_queue = _proxy_wasm.proxy_enqueue_shared_queue
"""Puts an entry into a queue, `(queue, value)`. NotFoundError: there is no such queue."""


def set_shared_data(key: str | bytes, value: str | bytes, cas: int = 0) -> None:
    """Writes a shared value; with the `cas` of `get_shared_data`, only if nobody wrote since (CasMismatchError)."""
    _proxy_wasm.proxy_set_shared_data(key, value, cas)


# ---- metrics

define_metric = _proxy_wasm.proxy_define_metric
"""Defines a metric, `(kind, name)`, and returns its number; a name of a kind is one metric, however often it is defined."""

increment_metric = _proxy_wasm.proxy_increment_metric
"""Adds to a counter or gauge, `(metric, offset)`. BadArgumentError: a counter only goes up, and a histogram takes records."""

record_metric = _proxy_wasm.proxy_record_metric
"""Sets a gauge, or records a value of a histogram, `(metric, value)`."""

get_metric = _proxy_wasm.proxy_get_metric
"""Returns the value of a counter or gauge, `(metric)`. NotFoundError: there is no such metric."""

# ---- time

tick_period = _proxy_wasm.proxy_set_tick_period_milliseconds  # `timers` shares it
current_time_nanoseconds = _proxy_wasm.proxy_get_current_time_nanoseconds
"""Returns the proxy's time, in nanoseconds since 1970."""


def set_tick_period(milliseconds: int) -> None:
    """Lets the root's `on_tick` be called each time so many milliseconds have passed; 0 ends it."""
    tick_period(milliseconds)


# ---- contexts

done = _proxy_wasm.proxy_done
"""Ends a root whose `on_done` returned False. NotFoundError: it was not called, or did not."""
