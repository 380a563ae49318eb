"""`fetch`: an HTTP call whose answer a coroutine waits for."""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm import _maps
from proxy_wasm._tasks import Wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proxy_wasm._http import HttpAnswer
    from proxy_wasm._maps import Headers, Text

waiting: dict[int, _Answer] = {}
"""What waits for a call's answer, by the call's number."""


_NONE: Headers = ()
_NO_BYTES = bytes(4)
_write = _proxy_wasm.write_pairs


class _Answer(Wait):
    """Waits for the answer to a call."""

    __slots__ = ("_call",)

    def __init__(self, call: int) -> None:
        self._call = call

    def begin(self) -> None:
        waiting[self._call] = self

    def cancel(self) -> None:
        waiting.pop(self._call, None)


def milliseconds(timeout: float) -> int:
    """Returns a time-out as the proxy takes it; ValueError if there is no time in it."""
    if not timeout > 0:
        raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")
    # Rounded up: who waits is not disturbed early. For the proxy 0 means no end.
    return max(-(-round(timeout * 10**6) // 1000), 1)


async def fetch(
    self: object,
    cluster: str | bytes,
    path: str | bytes = "/",
    *,
    method: str | bytes = "GET",
    authority: str | bytes | None = None,
    headers: Headers = _NONE,
    body: str | bytes = b"",
    trailers: Headers = _NONE,
    timeout: float = 5.0,
) -> HttpAnswer:
    """Sends an HTTP request to a cluster and returns the answer; what the callback is about waits meanwhile.

    `timeout` is in seconds. `authority` is the cluster's name unless it is given. Pseudo headers among `headers` are left out, so that a
    request's own headers can be passed on. An answer that `failed` says that nobody answered. No such cluster: BadArgumentError. A
    cluster without a healthy endpoint: InternalFailureError. A `timeout` that is not more than 0: ValueError.
    """
    pairs: list[tuple[Text, Text]] = [
        (":method", method),
        (":path", path),
        (":authority", cluster if authority is None else authority),
    ]
    if headers is not _NONE:
        given = headers.items() if hasattr(headers, "items") else headers
        pairs += [(name, value) for name, value in given if name[:1] not in (":", b":")]
    sent, end = _write(pairs), _NO_BYTES if trailers is _NONE else _maps.serialize(trailers)
    call = _proxy_wasm.proxy_http_call(cluster, sent, body, end, milliseconds(timeout))
    return await _Answer(call)  # type: ignore[no-any-return]
