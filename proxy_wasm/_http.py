"""HTTP calls: making them, reading their answers, and who made which.

The proxy makes every call in the root's name and tells the root of every answer. `_dispatch` takes the answer to the context that
asked. Who asks is noted only in a filter that has an `on_http_call_response`: no other pays for it.
"""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm import _maps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy_wasm._maps import Headers, Pairs
    from proxy_wasm._types import HeaderMap

# The boundary has these, in C. They make the host calls proxy_http_call, proxy_get_header_map_pairs and proxy_get_buffer_bytes.
if TYPE_CHECKING:

    class HttpAnswer:
        """The answer to an HTTP call; it stays as it is when the callback is over."""

        def __init__(self, headers: Pairs, body: bytes = b"", trailers: Pairs | None = None) -> None:
            self.headers = headers
            self.body = body
            self.trailers: Pairs = trailers or []

        @property
        def status(self) -> int:
            """The HTTP status; 0 if the call was reset before there was one."""

        @property
        def failed(self) -> bool:
            """Whether nobody answered: no status at all, 502, 503 or 504.

            Envoy itself answers with 503 if the server refuses the connection or closes it. It answers with 504 if the time is over, and
            with 502 if the answer is no HTTP. A server that answers so is no help either.
            """

        def header(self, name: str) -> bytes | None:
            """Returns the first value of a header, or None; names are in lower case."""

    def get_http_answer() -> HttpAnswer:
        """Returns the answer that `on_http_call_response` was called for; outside of it, one that failed."""

    def http_call(
        cluster: str | bytes,
        headers: Headers,
        body: str | bytes = b"",
        trailers: Headers = (),
        timeout_milliseconds: int = 5000,
    ) -> int:
        """Sends an HTTP request to a cluster and returns the call's number, which `on_http_call_response` is told.

        The headers need `:method`, `:path` and `:authority`; else, or if there is no such cluster: BadArgumentError. A cluster without
        a healthy endpoint: InternalFailureError.
        """

else:
    HttpAnswer, get_http_answer = _proxy_wasm.HttpAnswer, _proxy_wasm.get_http_answer
    http_call = _proxy_wasm.http_call


def get_header_map(header_map: HeaderMap) -> Pairs:
    """Returns a map's names and values in order; a map that is not there is empty."""
    return _maps.parse(_proxy_wasm.proxy_get_header_map_pairs(header_map))


get_header = _proxy_wasm.proxy_get_header_map_value
"""Returns the first value of a header, `(map, name)`: the map is a `HeaderMap`; None if the map has no such header."""


# ---- who made which

answers_wanted = False
"""Whether a class has an `on_http_call_response`: then it is noted who makes a call."""

callers: dict[int, int] = _proxy_wasm.Table()
"""The context that made a call, by the call's number, until its answer comes or the context is gone."""

open_calls: dict[int, int | set[int]] = _proxy_wasm.Table()
"""The calls that are open, by the context that made them: the number of its only one, or several."""


def set_effective_context(context_id: int) -> None:
    """Makes the rest of this callback's host calls in another context's name; 0 is the callback's own context again.

    BadArgumentError if there is no such context.
    """
    _proxy_wasm.proxy_set_effective_context(context_id)


forgotten: list[Callable[[int], object]] = []
"""What else is told that a call's context is gone."""


def expect_done(result: object) -> None:
    """Raises TypeError for what a function returns that is `async def`: nothing would run it."""
    if hasattr(result, "cr_await"):
        name = getattr(result, "__qualname__", "").rpartition("<locals>.")[2]
        raise TypeError(
            f"{name} is async def, and nothing awaits it: make it a plain def, or await the answer in an async callback"
        )


def note_caller(call: int) -> None:
    """Notes who makes a call: the context whose callback runs, if anybody wants to know. `http_call` does it by itself."""
    if answers_wanted and (caller := _proxy_wasm.speaker()):
        callers[call] = caller
        calls = open_calls.get(caller)
        if calls is None:
            open_calls[caller] = call
        elif isinstance(calls, set):
            calls.add(call)
        else:
            open_calls[caller] = {calls, call}


def take_caller(call: int) -> int | None:
    """Returns the context that made a call, and forgets it; None if it is gone."""
    caller = callers.pop(call, None)
    if caller is not None:
        calls = open_calls[caller]
        if isinstance(calls, set):
            calls.discard(call)
        if not isinstance(calls, set) or not calls:
            del open_calls[caller]
    return caller


def forget_caller(context_id: int) -> None:
    """Forgets the calls of a context that is gone."""
    calls = open_calls.pop(context_id, ())
    for call in (calls,) if isinstance(calls, int) else calls:
        # A proxy may come to use a number again.
        if callers.get(call) == context_id:
            del callers[call]
            for forget in forgotten:
                forget(call)


def forget_all() -> None:
    """Forgets every call: a test's VM is gone."""
    for caller in list(open_calls):
        forget_caller(caller)
