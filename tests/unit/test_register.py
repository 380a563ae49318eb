"""register(): which callbacks become exports, which class serves which root id, and what it refuses."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest

import proxy_wasm
from proxy_wasm import HttpContext, RootContext, StreamContext, _dispatch, register
from proxy_wasm.testing.abi import CALLBACKS
from proxy_wasm.testing.inprocess import InProcess

ALWAYS = {"proxy_on_context_create", "proxy_on_vm_start"}
STREAM_ONLY = [name for name in vars(StreamContext) if name.startswith("on_")]
HTTP_ONLY = [name for name in vars(HttpContext) if name.startswith("on_")]
ROOT_ONLY = [name for name in vars(RootContext) if name.startswith("on_")]


def test_the_methods_are_the_tables_callbacks() -> None:
    for context, methods in (("root", ROOT_ONLY), ("stream", STREAM_ONLY), ("http", HTTP_ONLY)):
        table = {c.method for c in CALLBACKS.values() if context in c.contexts and "grpc" not in c.name}
        assert set(methods) - {"on_request_complete", "on_response_complete"} | {"on_context_create"} == table


def test_a_bare_root_exports_the_least() -> None:
    with InProcess(RootContext) as vm:
        assert vm.exports == ALWAYS


@pytest.mark.parametrize("method", ROOT_ONLY)
def test_a_roots_method_exports_its_callback(method: str) -> None:
    root = type("Root", (RootContext,), {method: lambda self, *_: True})
    with InProcess(root) as vm:
        # A root that waits for answers is told of its end, to forget them.
        end = {"proxy_on_delete"} if method == "on_http_call_response" else set()
        assert vm.exports == ALWAYS | {"proxy_" + method} | end


@pytest.mark.parametrize("method", STREAM_ONLY)
def test_a_streams_method_exports_its_callback(method: str) -> None:
    stream = type("Stream", (StreamContext,), {method: lambda self, *_: None})
    # Inherited overrides count.
    root = type("Root", (RootContext,), {"stream_context": type("Derived", (stream,), {})})
    with InProcess(root) as vm:
        assert vm.exports == ALWAYS | {"proxy_on_delete", "proxy_" + method}


@pytest.mark.parametrize("method", HTTP_ONLY)
def test_a_requests_method_exports_its_callbacks(method: str) -> None:
    context = type("Request", (HttpContext,), {method: lambda self, *_: None})
    with InProcess(type("Root", (RootContext,), {"http_context": context})) as vm:
        side, _, what = method.removeprefix("on_").partition("_")
        # A whole body has headers before it, and trailers behind it.
        methods = [f"on_{side}_{part}" for part in ("headers", "body", "trailers")] if what == "complete" else [method]
        assert vm.exports == ALWAYS | {"proxy_on_delete"} | {f"proxy_{method}" for method in methods}


def test_a_root_with_both_hears_of_both() -> None:
    root = type("Root", (RootContext,), {"stream_context": StreamContext, "http_context": HttpContext})
    with InProcess(root) as vm:
        firsts = {"proxy_on_new_connection", "proxy_on_request_headers"}
        assert vm.exports == ALWAYS | {"proxy_on_delete"} | firsts


def test_root_ids() -> None:
    class One(RootContext):
        def on_configure(self, configuration: bytes) -> bool:
            proxy_wasm.info("one")
            return True

    class Other(RootContext):
        def on_tick(self) -> None:
            proxy_wasm.info("other")

    with InProcess() as vm:
        register(One, "one")
        assert vm.start(root_id=b"one")
        register(Other)
        assert vm.exports == ALWAYS | {"proxy_on_configure", "proxy_on_tick"}
        assert vm.start(root_id=b"something else")
        vm.tick()
        assert vm.host.lines() == ["one", "other"]


def test_a_root_id_without_a_class_does_not_start() -> None:
    with InProcess() as vm:
        register(RootContext, "one")
        assert not vm.start(root_id=b"two")
        assert "no root context is registered for root id 'two'; registered: ['one']" in vm.host.lines(4)[-1]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"stream_context": 1}, "stream_context"),
        ({"http_context": StreamContext}, "http_context must be a subclass of HttpContext"),
        ({"failure_policy": "close"}, "failure_policy"),
    ],
)
def test_wrong_attributes(attributes: dict[str, Any], message: str) -> None:
    with InProcess(), pytest.raises(TypeError, match=message):
        register(type("Root", (RootContext,), attributes))


def test_wrong_classes() -> None:
    with InProcess():
        for wrong in (StreamContext, RootContext(1), None):
            with pytest.raises(TypeError, match="subclass of RootContext"):
                register(cast(Any, wrong))
        with pytest.raises(TypeError, match=r"a root id is text, not b'one'"):
            register(RootContext, cast(Any, b"one"))
        register(RootContext)
        advice = r'already: RootContext; give another one an id: register\(RootContext, "its_root_id"\)'
        with pytest.raises(ValueError, match=advice):
            register(RootContext)


def test_tests_import_one_filter_after_the_other() -> None:
    first, second = type("First", (RootContext,), {}), type("Second", (RootContext,), {})
    before = dict(_dispatch.root_classes)
    try:
        # No VM is there, as while test modules are imported: the tests say later which class they mean.
        register(first)
        register(second)
        with InProcess(first) as vm:
            vm.start()
            assert [type(root) for root in _dispatch.roots.values()] == [first]
    finally:
        _dispatch.root_classes.clear()
        _dispatch.root_classes.update(before)


def _stream(**methods: object) -> type[RootContext]:
    return type("Plugin", (RootContext,), {"stream_context": type("Connection", (StreamContext,), methods)})


def _root(**methods: object) -> type[RootContext]:
    return type("Plugin", (RootContext,), methods)


async def _coroutine(self: object) -> None:
    pass


async def _coroutine_with_data(self: object, size: int, end_of_stream: bool) -> None:
    pass


async def _asynchronous_generator(self: object) -> AsyncIterator[None]:
    yield None


def _generator(self: object) -> Iterator[None]:
    yield None


MISTAKES: dict[str, tuple[type[RootContext], str]] = {
    "misspelt": (
        _stream(on_new_conection=lambda self: None),
        "Connection.on_new_conection: StreamContext has no such callback, and nothing would call it; did you mean on_new_connection?",
    ),
    "constructor": (
        _stream(__init__=lambda self, context_id: None),
        r"Connection.__init__: it takes \(self, context_id\), but is called with \(self, context_id, root\)",
    ),
    "constructor of the root": (_root(__init__=lambda self: None), r"but is called with \(self, context_id\)"),
    "misspelt in the root": (_root(on_tik=lambda self: None), "Plugin.on_tik: .* did you mean on_tick?"),
    "nothing alike": (
        _root(on_x=lambda self: None),
        "Plugin.on_x: .* Its callbacks: on_vm_start, .* needs another name",
    ),
    "HTTP": (
        _stream(on_request_headers=lambda self: None),
        "it is a callback of HttpContext, and this class is a StreamContext",
    ),
    "HTTP, as Rust has it": (_stream(on_http_response_body=lambda self: None), "HttpContext calls it on_response_body"),
    "gRPC": (
        _root(on_grpc_receive=lambda self: None),
        "gRPC has no callbacks of contexts; `from proxy_wasm import grpc`",
    ),
    "a stream's in the root": (
        _root(on_new_connection=lambda self: None),
        "Plugin.on_new_connection: it is a callback of StreamContext, and this class is a RootContext",
    ),
    "a root's in the stream": (
        _stream(on_tick=lambda self: None),
        "Connection.on_tick: it is a callback of RootContext",
    ),
    "too few": (
        _stream(on_downstream_data=lambda self, size: None),
        r"on_downstream_data: it takes \(self, size\), but is called with \(self, size, end_of_stream\)",
    ),
    "too many": (
        _stream(on_new_connection=lambda self, more: None),
        r"on_new_connection: it takes \(self, more\), but is called with \(self\)",
    ),
    "a keyword": (
        _stream(on_log=lambda self, *, more: None),
        r"it takes \(self, \*, more\), but is called with \(self\)",
    ),
    "no method": (_root(on_tick=5), "Plugin.on_tick: a callback is a method, not 5"),
    "async def, of the server's bytes": (
        _stream(on_upstream_data=_coroutine_with_data),
        "on_upstream_data: it is async def, but the proxy cannot be told to let bytes of the upstream server go on later",
    ),
    "async def, of an answer": (
        _stream(on_http_call_response=_coroutine),
        r"on_http_call_response: it is async def, but a coroutine need not be called: `await self.fetch\(...\)` returns the answer",
    ),
    "async def, of a configuration": (
        _root(on_configure=_coroutine),
        "on_configure: it is async def, but the proxy takes its result at once, .* set a tick period, and on_tick may be async def",
    ),
    "async def and yield": (
        _root(on_tick=_asynchronous_generator),
        "on_tick: it is async def with a yield, and nothing would iterate over it",
    ),
    "async def, with other parameters": (
        _stream(on_downstream_data=_coroutine),
        r"on_downstream_data: it takes \(self\), but is called with \(self, size, end_of_stream\)",
    ),
    "async def, and no callback": (_root(on_tik=_coroutine), "on_tik: .* did you mean on_tick?"),
    "yield": (_root(on_tick=_generator), "on_tick: it has a yield"),
}


@pytest.mark.parametrize("side", ["request", "response"])
def test_a_body_comes_whole_or_in_pieces(side: str) -> None:
    methods = {f"on_{side}_body": lambda self, *_: None, f"on_{side}_complete": lambda self, body: None}
    root = type("Root", (RootContext,), {"http_context": type("Request", (HttpContext,), methods)})
    with InProcess(), pytest.raises(TypeError, match=f"on_{side}_complete takes the place of on_{side}_body"):
        register(root)


def test_a_filter_for_tcp_does_not_load_what_is_for_http() -> None:
    program = """
import sys, proxy_wasm
class Stream(proxy_wasm.StreamContext):
    def on_new_connection(self): pass
class Root(proxy_wasm.RootContext):
    stream_context = Stream
proxy_wasm.register(Root)
print(*sys.modules)
"""
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", program], text=True, capture_output=True, check=True, env=_environment()
    )
    names = {"_headers", "_bodies", "_http_contexts", "_http_dispatch", "_grpc", "grpc", "_await", "_mistakes"}
    names |= {"attributes", "_attributes", "envoy", "metrics", "shared", "configuration", "http"}
    assert not {f"proxy_wasm.{name}" for name in names} & set(loaded.stdout.split())


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_explained(name: str) -> None:
    cls, message = MISTAKES[name]
    with InProcess(), pytest.raises(TypeError, match=message):
        register(cls)


ASYNC = {"on_tick", "on_queue_ready", "on_new_connection", "on_downstream_data"}


@pytest.mark.parametrize("base", [RootContext, StreamContext])
def test_each_callback_may_wait_or_says_why_not(base: type) -> None:
    for name in vars(base):
        if name.startswith("on_"):
            method = _awaiting(getattr(base, name))
            refused = pytest.raises(TypeError, match=rf"{name}: it is async def, but .* (def|answer)")
            with InProcess(), contextlib.nullcontext() if name in ASYNC else refused:
                register(_root(**{name: method}) if base is RootContext else _stream(**{name: method}))


def _awaiting(callback: Any) -> Any:
    """Returns a coroutine function with the parameters of a callback."""
    names = callback.__code__.co_varnames[: callback.__code__.co_argcount]
    defined: dict[str, Any] = {}
    exec(f"async def method({', '.join(names)}): pass", defined)
    return defined["method"]


def test_what_is_no_mistake() -> None:
    class Mixin:
        def on_log(self, *anything: object) -> None:
            pass

    register_fine = _stream(
        on_downstream_data=lambda self, size, end_of_stream=False: None,
        on_upstream_data=lambda self, *arguments: None,
        on_done=lambda self, more=1, *, other=2: None,
        on_call="not callable, and no callback's name",
        _on_data=lambda self: None,
        __init__=lambda self, *arguments, more=1: StreamContext.__init__(self, *arguments),
    )
    register_fine.stream_context = type("Mixed", (Mixin, register_fine.stream_context), {})  # type: ignore[arg-type]
    with InProcess(register_fine) as vm:
        assert "proxy_on_log" in vm.exports


def test_a_filter_without_mistakes_does_not_load_their_explanation() -> None:
    """`difflib` and `inspect` would be in every built module, and so would what drives coroutines."""
    program = "import sys, proxy_wasm; proxy_wasm.register(proxy_wasm.RootContext); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", program], text=True, capture_output=True, check=True, env=_environment()
    )
    assert "proxy_wasm._register" in loaded.stdout.split()
    assert not {"proxy_wasm._mistakes", "proxy_wasm._await", "proxy_wasm._tasks"} & set(loaded.stdout.split())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
