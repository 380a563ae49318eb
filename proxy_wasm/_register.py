"""Which classes make up the filter, and so which callbacks the built module exports.

A mistake is looked for here, and explained in `_mistakes`. What drives coroutines is in `_await`. Both are imported if they are needed,
by names that are no constants of an import: else the build would keep them for every filter.
"""

from __future__ import annotations

import sys

import _proxy_wasm

from proxy_wasm import _dispatch, _http
from proxy_wasm._contexts import RootContext, StreamContext
from proxy_wasm._dispatch import CALLBACKS, FIRST, QUICK, is_async, overrides, root_classes
from proxy_wasm._types import Action, FailurePolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Function = Callable[..., Any]
    _Wrap = Callable[[str, Any], Any]

BASES: dict[str, type] = {"stream_context": StreamContext}
"""The base classes of a root's streams, by the root's attribute; `_http_dispatch` adds that of `http_context`."""

NEEDED_BY: dict[str, str] = {}
"""A method that is no callback, by the callback without which it would not be called."""

NEEDED: set[str] = set()
"""Callbacks that a module which was imported needs, whatever the classes override."""

_ALWAYS = ("on_context_create", "on_vm_start")
_VARIADIC, _GENERATOR, _ASYNC_GENERATOR = 0x04, 0x20, 0x200
_NO_FUNCTION = _GENERATOR | _ASYNC_GENERATOR
_AWAIT, _AWAIT_HTTP, _MISTAKES = "proxy_wasm._await", "proxy_wasm._await_http", "proxy_wasm._mistakes"
_GRPC, _GRPC_UNARY = "proxy_wasm._grpc", "proxy_wasm._grpc_unary"


def register(root_class: type[RootContext], root_id: str | None = None) -> None:
    """Makes a root context's class known: for one root id of the proxy's configuration, or for every other one.

    Only callbacks that the class or its stream context overrides are registered, and so exported by the built module.
    TypeError: this is no context class, or an `on_` method is called by no callback, or a method cannot be called so.
    ValueError: the root id has a class already.
    """
    if not (isinstance(root_class, type) and issubclass(root_class, RootContext)):
        raise TypeError(f"register() takes a subclass of RootContext, not {root_class!r}")
    if not (root_id is None or isinstance(root_id, str)):
        raise TypeError(f"register(): a root id is text, not {root_id!r}")
    for attribute, name in (("stream_context", "StreamContext"), ("http_context", "HttpContext")):
        cls, base = _class_of(root_class, attribute), BASES.get(attribute)
        if cls is not None and not (isinstance(cls, type) and base is not None and issubclass(cls, base)):
            raise TypeError(f"{root_class.__name__}.{attribute} must be a subclass of {name} or None")
    if not isinstance(root_class.failure_policy, FailurePolicy):
        raise TypeError(f"{root_class.__name__}.failure_policy must be a FailurePolicy")
    for cls, base in _classes(root_class):
        # A router makes its streams itself.
        is_made_here = cls in (root_class, root_class.stream_context, root_class.http_context)
        _check(cls, base, ("on_", "__init__") if is_made_here else ("on_",))
    # Tests import one filter after the other, and say later which of them runs.
    if root_id in root_classes and not getattr(_proxy_wasm, "outside_vm", False):
        raise ValueError(
            f"root id {root_id!r} has a context class already: {root_classes[root_id].__name__}; "
            f'give another one an id: register({root_class.__name__}, "its_root_id")'
        )
    root_classes[root_id] = root_class
    _register_callbacks()


def _register_callbacks() -> None:
    _proxy_wasm.set_error_handler(_dispatch.on_error)
    _proxy_wasm.set_action_type(Action)
    _http.answers_wanted = bool(NEEDED) or _is_wanted("on_http_call_response")
    needed, wrap, awaits = _for_coroutines()
    for method, function in CALLBACKS.items():
        if method in needed or _is_wanted(method):
            _proxy_wasm.register("proxy_" + method, wrap(method, function))
            if method in QUICK:
                kind, clear, set_, slow, odd, over, after = QUICK[method]
                way = "proxy_" + method, method, kind, clear, set_, slow, odd, over, awaits(method), after
                _proxy_wasm.register_quick(*way)
    # Which kind of stream it is, the first callback tells, if a root has both.
    both = any(len(_classes(root_class)) == 3 for root_class in root_classes.values())
    for method, function in FIRST.items():
        if both or _is_wanted(method):
            _proxy_wasm.register("proxy_" + method, wrap(method, CALLBACKS[method]))
            _proxy_wasm.register_first("proxy_" + method, wrap(method, function))
            _proxy_wasm.set_contexts(_dispatch.roots, _dispatch.streams, _dispatch.undecided if both else None)


def _for_coroutines() -> tuple[set[str], _Wrap, Callable[[str], bool]]:
    """Returns the callbacks that coroutines need, what makes a callback drive them, and whether the boundary does; nothing without any."""
    classes = [cls for root_class in root_classes.values() for cls, _ in _classes(root_class)]
    callers = _http.callers if _http.answers_wanted else None
    # Other modules may have put a function of theirs in its place.
    tells = CALLBACKS["on_http_call_response"] is _dispatch.on_http_call_response
    names = {name for cls in classes for name in dir(cls) if name.startswith("on_") and is_async(getattr(cls, name))}
    if names:
        module = _awaiting()
        _proxy_wasm.set_waiting(module.PENDING, _http.open_calls, callers, tells)
        return module.needed(names), module.wrap, module.awaits
    if _http.answers_wanted:
        _proxy_wasm.set_waiting(_proxy_wasm.Table(), _http.open_calls, callers, tells)
    return names, _as_it_is, _never


def _as_it_is(_: str, function: Any) -> Any:
    return function


def _never(_: str) -> bool:
    return False


def _classes(root_class: type[RootContext]) -> list[tuple[type, type]]:
    """Returns a root's class and those of its streams, each with its base."""
    found: list[tuple[type, type]] = [(root_class, RootContext)]
    for attribute, base in BASES.items():
        cls = _class_of(root_class, attribute)
        if cls is not None:
            found.append((cls, base))
    return found


def _class_of(root_class: type[RootContext], attribute: str) -> Any:
    """Returns the class of a root's streams: a router says which it makes."""
    value = getattr(root_class, attribute)
    return getattr(value, "stream_class", value)


def _awaiting() -> Any:
    """Returns what drives coroutines, with the parts of HTTP and gRPC that this filter can await: nothing is imported in the proxy."""
    if "http_context" in BASES:
        _load(_AWAIT_HTTP)
    if _GRPC in sys.modules:
        _load(_GRPC_UNARY)
    return _load(_AWAIT)


def _load(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


def _is_wanted(method: str) -> bool:
    if method in _ALWAYS or method in NEEDED:
        return True
    for root_class in root_classes.values():
        classes = _classes(root_class)
        for cls, base in classes:
            if overrides(cls, base, method) or overrides(cls, base, NEEDED_BY.get(method, method)):
                return True
        if method == "on_delete" and (len(classes) > 1 or _http.answers_wanted):
            return True
    return False


def _check(cls: type, base: type, called: tuple[str, ...]) -> None:
    for name in dir(cls):
        if name.startswith(called) and not _fits(base, name, getattr(cls, name)):
            raise TypeError(_load(_MISTAKES).explain(cls, base, name))
    for callback, method in NEEDED_BY.items():
        if callback.endswith("_body") and overrides(cls, base, callback) and overrides(cls, base, method):
            raise TypeError(f"{cls.__name__}.{method} takes the place of {callback}: override one of them")


def _fits(base: type, name: str, method: Any) -> bool:
    """Tells whether a method can be called as a callback of that name is; an attribute that nobody can call is no method."""
    callback: Any = getattr(base, name, None)
    if method is callback:
        return True
    if callback is not None and is_async(method) and name not in _awaiting().ASYNC[base]:
        return False
    code = getattr(method, "__code__", None)
    if callback is None or code is None:
        return callable(method) == (callback is not None)
    given = callback.__code__.co_argcount
    required = code.co_argcount - len(method.__defaults__ or ())
    taken = required <= given and (given <= code.co_argcount or code.co_flags & _VARIADIC)
    keywords = code.co_kwonlyargcount == len(method.__kwdefaults__ or ())
    return bool(taken and keywords and not code.co_flags & _NO_FUNCTION)
