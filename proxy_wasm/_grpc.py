"""gRPC calls and streams, and from the proxy's callbacks to those who made them (`grpc.py` is what authors import).

A call belongs to the context whose callback makes it. What comes back is handled in that context's name, and with its failure policy. A
context that is gone hears of nothing. Messages are bytes: what they mean is protobuf's business.
"""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm import _dispatch, _http, _register
from proxy_wasm._errors import HostError
from proxy_wasm._maps import parse, serialize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from proxy_wasm._maps import Headers, Pairs, Text

OK = 0
_MESSAGE = 5  # the buffer
_INITIAL_METADATA, _TRAILING_METADATA = 4, 5


class Answer:
    """What came of a call: the gRPC status (0 is OK), the server's words about it, and the message, which is empty if it failed."""

    __slots__ = ("body", "message", "status")

    def __init__(self, status: int, message: str = "", body: bytes = b"") -> None:
        self.status = status
        self.message = message
        self.body = body

    @property
    def failed(self) -> bool:
        """Whether the status is another than OK."""
        return self.status != OK


def call(
    cluster: Text,
    service: Text,
    method: Text,
    message: Text = b"",
    answered: Callable[[Answer], object] | None = None,
    metadata: Headers = (),
    timeout_milliseconds: int = 5000,
) -> int:
    """Sends a message to a method and returns the call's number; `answered` is called once, with the answer or the failure.

    ParseFailureError: there is no such cluster.
    """
    number = _proxy_wasm.proxy_grpc_call(cluster, service, method, serialize(metadata), message, timeout_milliseconds)
    _remember(number, _Unary(answered))
    return number


def cancel(number: int) -> None:
    """Cancels a call; its `answered` is not called any more. NotFoundError: it is over."""
    _forget(number)
    _proxy_wasm.proxy_grpc_cancel(number)


class Stream:
    """A stream of messages in both directions: made with its first callback's context, over when `on_close` has been called.

    ParseFailureError: there is no such cluster.
    """

    def __init__(self, cluster: Text, service: Text, method: Text, metadata: Headers = ()) -> None:
        self.number = _proxy_wasm.proxy_grpc_stream(cluster, service, method, serialize(metadata))
        _remember(self.number, self)

    def send(self, message: Text, end_of_stream: bool = False) -> None:
        """Sends a message; after the last one the server knows that none follows. NotFoundError: the stream is over."""
        _proxy_wasm.proxy_grpc_send(self.number, message, int(end_of_stream))

    def close(self) -> None:
        """Says that no message follows. NotFoundError: the stream is over."""
        _proxy_wasm.proxy_grpc_close(self.number)

    def cancel(self) -> None:
        """Resets the stream; nothing is called any more. NotFoundError: it is over."""
        cancel(self.number)

    def on_initial_metadata(self, metadata: Pairs) -> None:
        """Called with the server's first metadata."""

    def on_message(self, message: bytes) -> None:
        """Called with a message of the server's."""

    def on_trailing_metadata(self, metadata: Pairs) -> None:
        """Called with the server's last metadata."""

    def on_close(self, status: int, message: str) -> None:
        """Called last, with the gRPC status and the server's words about it."""


class _Unary(Stream):
    """A call: a success is one message and no close, and a failure is a close and no message."""

    def __init__(self, answered: Callable[[Answer], object] | None) -> None:
        self.answered = answered

    def on_message(self, message: bytes) -> None:
        self._answer(Answer(OK, "", message))

    def on_close(self, status: int, message: str) -> None:
        self._answer(Answer(status, message))

    def _answer(self, answer: Answer) -> None:
        if self.answered is not None:
            _http.expect_done(self.answered(answer))


# ---- who made which

_open: dict[int, Stream] = {}


def _remember(number: int, stream: Stream) -> None:
    _http.note_caller(number)
    _open[number] = stream


def _forget(number: int) -> None:
    _http.take_caller(number)
    _open.pop(number, None)


def _tell(callback: str, root_id: int, number: int, last: bool, tell: Callable[[Any], object]) -> None:
    stream, caller = _open.get(number), _http.callers.get(number, root_id)
    if stream is None:
        return
    if last or isinstance(stream, _Unary):
        _forget(number)
    if caller != root_id:
        try:
            _http.set_effective_context(caller)
        except HostError:
            _forget(number)
            return
    try:
        _http.expect_done(tell(stream))
    except BaseException as error:
        _dispatch.on_error(callback, caller, error, root_id if caller != root_id else 0)


def on_grpc_receive_initial_metadata(context_id: int, call: int, header_count: int) -> None:
    def tell(stream: Any) -> object:
        return stream.on_initial_metadata(parse(_proxy_wasm.proxy_get_header_map_pairs(_INITIAL_METADATA)))

    if not isinstance(_open.get(call), _Unary):
        _tell("proxy_on_grpc_receive_initial_metadata", context_id, call, False, tell)


def on_grpc_receive(context_id: int, call: int, size: int) -> None:
    def tell(stream: Any) -> object:
        return stream.on_message(_proxy_wasm.proxy_get_buffer_bytes(_MESSAGE, 0, size) or b"")

    _tell("proxy_on_grpc_receive", context_id, call, False, tell)


def on_grpc_receive_trailing_metadata(context_id: int, call: int, trailer_count: int) -> None:
    def tell(stream: Any) -> object:
        return stream.on_trailing_metadata(parse(_proxy_wasm.proxy_get_header_map_pairs(_TRAILING_METADATA)))

    if not isinstance(_open.get(call), _Unary):
        _tell("proxy_on_grpc_receive_trailing_metadata", context_id, call, False, tell)


def on_grpc_close(context_id: int, call: int, status: int) -> None:
    def tell(stream: Any) -> object:
        return stream.on_close(status, _proxy_wasm.proxy_get_status()[1].decode("utf-8", "replace"))

    _tell("proxy_on_grpc_close", context_id, call, True, tell)


_CALLBACKS: dict[str, Callable[[int, int, int], None]] = {
    function.__name__: function
    for function in (
        on_grpc_receive_initial_metadata,
        on_grpc_receive,
        on_grpc_receive_trailing_metadata,
        on_grpc_close,
    )
}
_dispatch.CALLBACKS.update(_CALLBACKS)
_register.NEEDED.update(_CALLBACKS)
_http.forgotten.append(lambda number: _open.pop(number, None))
