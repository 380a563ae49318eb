"""HTTP calls with a function for each answer: `from proxy_wasm import http` at the top of a filter's module, which then has the callback.

A call belongs to the context whose callback makes it. Its answer is handled in that context's name, and with its failure policy. A context
that is gone hears of nothing.
"""

from __future__ import annotations

from proxy_wasm import _dispatch, _http, _register
from proxy_wasm._errors import BadArgumentError
from proxy_wasm._http import HttpAnswer, get_http_answer, http_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy_wasm._maps import Headers, Text

__all__ = ["HttpAnswer", "call"]

_answered: dict[int, Callable[[HttpAnswer], object]] = {}


def call(
    cluster: Text,
    headers: Headers,
    answered: Callable[[HttpAnswer], object],
    body: Text = b"",
    trailers: Headers = (),
    timeout_milliseconds: int = 5000,
) -> int:
    """Sends an HTTP request to a cluster and returns the call's number; `answered` is called once, with the answer.

    An answer that `failed` says that nobody answered. The headers, and what is refused, are as with `http_call`.
    """
    number = http_call(cluster, headers, body, trailers, timeout_milliseconds)
    _answered[number] = answered
    return number


_others = _dispatch.CALLBACKS["on_http_call_response"]


def on_http_call_response(context_id: int, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
    """Gives an answer to the function that waits for it, in the name of the context that asked."""
    answered = _answered.pop(call, None)
    if answered is None:
        _others(context_id, call, header_count, body_size, trailer_count)
        return
    caller = _http.take_caller(call)
    if caller is None:
        return
    if caller != context_id:
        try:
            _http.set_effective_context(caller)
        except BadArgumentError:
            return
    try:
        _http.expect_done(answered(get_http_answer()))
    except BaseException as error:
        parent = context_id if caller != context_id else 0
        _dispatch.on_error("proxy_on_http_call_response", caller, error, parent)


_dispatch.CALLBACKS["on_http_call_response"] = on_http_call_response
_register.NEEDED.add("on_http_call_response")
_http.forgotten.append(lambda number: _answered.pop(number, None))
