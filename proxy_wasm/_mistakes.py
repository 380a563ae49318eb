"""What is wrong with a context class, in a sentence. Only a registration that fails imports this: a built filter does not have it."""

from __future__ import annotations

import difflib
import inspect
import re

from proxy_wasm import _await
from proxy_wasm._contexts import RootContext, StreamContext
from proxy_wasm._dispatch import is_async
from proxy_wasm._http_contexts import HttpContext

_AT_ONCE = "the proxy takes its result at once, so that it cannot wait; a plain def can"
_AT_THE_END = "it comes at the end, when there is nothing left to wait for; make it a plain def"
_WHY_NOT_ASYNC = {
    "on_vm_start": _AT_ONCE,
    "on_configure": f"{_AT_ONCE} set a tick period, and on_tick may be async def",
    "on_done": _AT_ONCE,
    "on_foreign_function": "its caller does not wait for it; make it a plain def",
    "on_upstream_data": "the proxy cannot be told to let bytes of the upstream server go on later; make it a plain def",
    "on_http_call_response": "a coroutine need not be called: `await self.fetch(...)` returns the answer",
    "on_downstream_connection_close": _AT_THE_END,
    "on_upstream_connection_close": _AT_THE_END,
    "on_log": _AT_THE_END,
    "on_delete": _AT_THE_END,
}
_HTTP = re.compile(r"on_http_(request|response)_")
_GRPC = re.compile(r"on_grpc_")


def explain(cls: type, base: type, name: str) -> str:
    """Returns what is wrong with a class's method, and what to do."""
    return f"{cls.__name__}.{name}: " + (
        _unknown(base, name) if not hasattr(base, name) else _misshapen(cls, base, name)
    )


def _unknown(base: type, name: str) -> str:
    if _GRPC.match(name):
        return "gRPC has no callbacks of contexts; `from proxy_wasm import grpc` has calls and streams"
    if _HTTP.match(name) and hasattr(HttpContext, name.replace("http_", "")):
        return f"HttpContext calls it {name.replace('http_', '')}"
    for other in (RootContext, StreamContext, HttpContext):
        if hasattr(other, name):
            return f"it is a callback of {other.__name__}, and this class is a {base.__name__}"
    callbacks = [callback for callback in vars(base) if callback.startswith("on_")]
    close = difflib.get_close_matches(name[3:], [callback[3:] for callback in callbacks], 1)
    hint = f"; did you mean on_{close[0]}?" if close else f". Its callbacks: {', '.join(callbacks)}."
    return (
        f"{base.__name__} has no such callback, and nothing would call it{hint} A method of your own needs another name"
    )


def _misshapen(cls: type, base: type, name: str) -> str:
    method = getattr(cls, name)
    if not callable(method):
        return f"a callback is a method, not {method!r}"
    if inspect.isasyncgenfunction(method):
        return "it is async def with a yield, and nothing would iterate over it"
    if is_async(method) and name not in _await.ASYNC[base]:
        return f"it is async def, but {_WHY_NOT_ASYNC.get(name, _AT_ONCE)}"
    if inspect.isgeneratorfunction(method):
        return "it has a yield, so that a call would not run it; a callback is a plain def"
    return f"it takes {_parameters(method)}, but is called with {_parameters(getattr(base, name))}"


def _parameters(method: object) -> str:
    assert callable(method)
    parameters = inspect.signature(method).parameters.values()
    return str(inspect.Signature([parameter.replace(annotation=inspect.Parameter.empty) for parameter in parameters]))
