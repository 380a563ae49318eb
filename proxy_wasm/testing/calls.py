"""HTTP calls and coroutines as the boundary's C has them (answers.h, calls.h, awaiting.h), for the stand-in of `boundary.py`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import _proxy_wasm

_BODY, _HEADERS, _TRAILERS, _ALL = 4, 6, 7, 0xFFFFFFFF
_FAILED = (0, 502, 503, 504)


class HttpAnswer:
    """The answer to an HTTP call."""

    __slots__ = ("body", "headers", "trailers")

    def __init__(self, headers: Any, body: Any = b"", trailers: Any = None) -> None:
        self.headers = headers
        self.body = body
        self.trailers = [] if trailers is None else trailers

    @property
    def status(self) -> int:
        """The HTTP status, or 0."""
        return int(self._first(b":status") or 0)

    @property
    def failed(self) -> bool:
        """Whether nobody answered."""
        return self.status in _FAILED

    def header(self, name: str) -> Any:
        """Returns the first value of a header, or None."""
        wanted = name.lower()
        return self._first(wanted.encode() if isinstance(wanted, str) else wanted)

    def _first(self, wanted: bytes) -> Any:
        return next((value for name, value in self.headers if name == wanted), None)


def get_http_answer() -> HttpAnswer:
    """Returns the answer that the callback is about."""
    headers = _proxy_wasm.HeaderMap(_HEADERS).items()
    body = _proxy_wasm.proxy_get_buffer_bytes(_BODY, 0, _ALL) or b""
    return HttpAnswer(headers, body, _proxy_wasm.HeaderMap(_TRAILERS).items())


def http_call(cluster: Any, headers: Any, body: Any = b"", trailers: Any = (), timeout_milliseconds: int = 5000) -> int:
    """Sends a request and returns the call's number."""
    # Here, for the boundary is there before the SDK is.
    from proxy_wasm._http import note_caller

    sent, end = _written(headers), _written(trailers)
    call = _proxy_wasm.proxy_http_call(cluster, sent, body, end, timeout_milliseconds)
    note_caller(call)
    return call


def _written(headers: Any) -> bytes:
    return _proxy_wasm.write_pairs(headers.items() if hasattr(headers, "items") else headers)


# ---- waiting


class Wait:
    """What a coroutine yields to its task, which resumes it later."""

    __slots__ = ("task",)
    task: Any

    def __await__(self) -> Generator[Wait, Any, Any]:
        return (yield self)

    def begin(self) -> None:
        """The task waits from now on."""

    def cancel(self) -> None:
        """The task does not wait any more."""

    def expect(self) -> None:
        """A coroutine is to await it."""


class Task:
    """What a task is made of."""

    coroutine: Any
    context_id: Any
    name: Any = None
    wait: Any = None
    result: Any = None
    held: Any = None


awaited_calls: dict[int, Any] = {}


class _Answer(Wait):
    """Waits for the answer to a call."""

    __slots__ = ("_call",)

    def __init__(self, call: int) -> None:
        self._call = call

    def begin(self) -> None:
        awaited_calls[self._call] = self

    def cancel(self) -> None:
        awaited_calls.pop(self._call, None)


async def fetch(
    self: object,
    cluster: Any,
    path: Any = "/",
    *,
    method: Any = "GET",
    authority: Any = None,
    headers: Any = (),
    body: Any = b"",
    trailers: Any = (),
    timeout: float = 5.0,
) -> Any:
    """Sends a request and waits for its answer."""
    from proxy_wasm._fetch import milliseconds

    pairs = [(":method", method), (":path", path), (":authority", cluster if authority is None else authority)]
    for pair in headers.items() if hasattr(headers, "items") else headers:
        if len(pair) != 2:
            raise ValueError(f"a header is a name and a value, not {pair!r}")
        if pair[0][:1] not in (":", b":"):
            pairs.append(tuple(pair))
    sent, end = _proxy_wasm.write_pairs(pairs), _written(trailers)
    return await _Answer(_proxy_wasm.proxy_http_call(cluster, sent, body, end, milliseconds(timeout)))
