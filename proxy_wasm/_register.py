"""Which classes make up the filter, and so which callbacks the built module exports.

A mistake is looked for here, and explained in `_mistakes`. What drives coroutines is in `_await`. Both are imported if they are needed,
by names that are no constants of an import: else the build would keep them for every filter.
"""

from __future__ import annotations

import sys

import _proxy_wasm

from proxy_wasm import _dispatch
from proxy_wasm._contexts import RootContext, StreamContext
from proxy_wasm._dispatch import CALLBACKS, is_async, overrides, root_classes
from proxy_wasm._types import Action, FailurePolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Function = Callable[..., Any]

_ALWAYS = ("on_context_create", "on_vm_start")
_VARIADIC, _GENERATOR, _ASYNC_GENERATOR = 0x04, 0x20, 0x200
_NO_FUNCTION = _GENERATOR | _ASYNC_GENERATOR
_AWAIT, _MISTAKES = "proxy_wasm._await", "proxy_wasm._mistakes"


def register(root_class: type[RootContext], root_id: str | None = None) -> None:
    """Makes a root context's class known: for one root id of the proxy's configuration, or for every other one.

    Only callbacks that the class or its stream context overrides are registered, and so exported by the built module.
    Raises TypeError for what is no context class, for an `on_` method that no callback calls and for one that cannot be called so,
    and ValueError for a root id that has a class already.
    """
    if not (isinstance(root_class, type) and issubclass(root_class, RootContext)):
        raise TypeError(f"register() takes a subclass of RootContext, not {root_class!r}")
    stream_class = root_class.stream_context
    if stream_class is not None and not (isinstance(stream_class, type) and issubclass(stream_class, StreamContext)):
        raise TypeError(f"{root_class.__name__}.stream_context must be a subclass of StreamContext or None")
    if not isinstance(root_class.failure_policy, FailurePolicy):
        raise TypeError(f"{root_class.__name__}.failure_policy must be a FailurePolicy")
    _check(root_class, RootContext)
    if stream_class is not None:
        _check(stream_class, StreamContext)
    # Tests import one filter after the other, and say later which of them runs.
    if root_id in root_classes and not getattr(_proxy_wasm, "outside_vm", False):
        raise ValueError(f"root id {root_id!r} has a context class already: {root_classes[root_id].__name__}")
    root_classes[root_id] = root_class
    _register_callbacks()


def _register_callbacks() -> None:
    _proxy_wasm.set_error_handler(_dispatch.on_error)
    _proxy_wasm.set_action_type(Action)
    _dispatch.answers_wanted = _is_wanted("on_http_call_response")
    needed, wrap = _for_coroutines()
    for method, function in CALLBACKS.items():
        if method in needed or _is_wanted(method):
            _proxy_wasm.register("proxy_" + method, _ready(wrap(method, function)))
    if _is_wanted("on_new_connection"):
        handler = _ready(wrap("on_new_connection", _dispatch.on_connection))
        _proxy_wasm.set_connection_handler(handler, _dispatch.roots, _dispatch.streams)


def _for_coroutines() -> tuple[tuple[str, ...], Callable[[str, _Function], _Function]]:
    """Returns the callbacks that coroutines need, and what makes a callback drive them; nothing if no class has any."""
    streams = any(_has_async(root_class.stream_context) for root_class in root_classes.values())
    if streams or any(_has_async(root_class) for root_class in root_classes.values()):
        module = _load(_AWAIT)
        return module.needed(streams), module.wrap
    return (), lambda name, function: function


def _has_async(cls: type | None) -> bool:
    return any(name.startswith("on_") and is_async(getattr(cls, name)) for name in dir(cls))


def _load(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


def _is_wanted(method: str) -> bool:
    if method in _ALWAYS:
        return True
    for root_class in root_classes.values():
        stream_class = root_class.stream_context
        if overrides(root_class, RootContext, method) or overrides(stream_class, StreamContext, method):
            return True
        if method == "on_delete" and (stream_class is not None or _dispatch.answers_wanted):
            return True
    return False


def _ready(function: _Function) -> _Function:
    return _dispatch.asking(function) if _dispatch.answers_wanted else function


def _check(cls: type, base: type) -> None:
    for name in dir(cls):
        if name.startswith("on_") and not _fits(base, name, getattr(cls, name)):
            raise TypeError(_load(_MISTAKES).explain(cls, base, name))


def _fits(base: type, name: str, method: Any) -> bool:
    """Tells whether a method can be called as a callback of that name is; an attribute that nobody can call is none."""
    callback: Any = getattr(base, name, None)
    if method is callback:
        return True
    if callback is not None and is_async(method) and not _load(_AWAIT).may_be_async(base, name):
        return False
    code = getattr(method, "__code__", None)
    if callback is None or code is None:
        return callable(method) == (callback is not None)
    given = callback.__code__.co_argcount
    required = code.co_argcount - len(method.__defaults__ or ())
    taken = required <= given and (given <= code.co_argcount or code.co_flags & _VARIADIC)
    keywords = code.co_kwonlyargcount == len(method.__kwdefaults__ or ())
    return bool(taken and keywords and not code.co_flags & _NO_FUNCTION)
