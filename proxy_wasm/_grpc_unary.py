"""`grpc.unary`: a gRPC call whose answer a coroutine waits for. Only a filter that uses it has this module."""

from __future__ import annotations

from proxy_wasm import _fetch, _grpc
from proxy_wasm._errors import HostError
from proxy_wasm._tasks import Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proxy_wasm._maps import Headers, Text


class _Reply(Wait):
    """Waits for the answer to a call."""

    __slots__ = ("number", "waits")

    def __init__(self) -> None:
        self.number = 0
        self.waits = False

    def begin(self) -> None:
        self.waits = True

    def cancel(self) -> None:
        try:
            _grpc.cancel(self.number)
        except HostError:
            return  # the proxy has forgotten it already

    def answered(self, answer: _grpc.Answer) -> None:
        """Gives the answer to the coroutine, unless that was closed before it could wait."""
        if self.waits:
            self.task.resume(answer)


async def unary(
    cluster: Text,
    service: Text,
    method: Text,
    message: Text = b"",
    *,
    metadata: Headers = (),
    timeout: float = 5.0,
) -> _grpc.Answer:
    """Sends a message to a method and returns the answer; what the callback is about waits meanwhile.

    `timeout` is in seconds. An answer that `failed` has the gRPC status. ParseFailureError: there is no such cluster. A `timeout` that is
    not more than 0: ValueError.
    """
    milliseconds = _fetch.milliseconds(timeout)
    reply = _Reply()
    reply.number = _grpc.call(cluster, service, method, message, reply.answered, metadata, milliseconds)
    return await reply  # type: ignore[no-any-return]
