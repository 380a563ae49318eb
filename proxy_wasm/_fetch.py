"""`fetch`: an HTTP call whose answer a coroutine waits for."""

from __future__ import annotations

import _proxy_wasm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proxy_wasm._http import HttpAnswer
    from proxy_wasm._maps import Headers

waiting = _proxy_wasm.awaited_calls
"""What waits for a call's answer, by the call's number."""


def milliseconds(timeout: float) -> int:
    """Returns a time-out as the proxy takes it; ValueError if there is no time in it, TypeError if it is no number."""
    try:
        if timeout > 0:
            # Rounded up: who waits is not disturbed early. For the proxy 0 means no end.
            return max(-(-round(timeout * 10**6) // 1000), 1)
    except TypeError:
        raise TypeError(f"timeout must be a number of seconds, not {timeout!r}") from None
    raise ValueError(f"timeout must be more than 0 seconds, not {timeout!r}")


# The boundary has it, in C; it makes the host calls proxy_http_call, proxy_get_header_map_pairs and proxy_get_buffer_bytes.
if TYPE_CHECKING:

    async def fetch(
        self: object,
        cluster: str | bytes,
        path: str | bytes = "/",
        *,
        method: str | bytes = "GET",
        authority: str | bytes | None = None,
        headers: Headers = (),
        body: str | bytes = b"",
        trailers: Headers = (),
        timeout: float = 5.0,
    ) -> HttpAnswer:
        """Sends an HTTP request to a cluster and returns the answer; what the callback is about waits meanwhile.

        `timeout` is in seconds. `authority` is the cluster's name unless it is given. Pseudo headers among `headers` are left out, so
        that a request's own headers can be passed on. An answer that `failed` says that nobody answered. No such cluster:
        BadArgumentError. A cluster without a healthy endpoint: InternalFailureError. A `timeout` that is not more than 0: ValueError.
        """
        raise NotImplementedError
else:
    fetch = _proxy_wasm.fetch
