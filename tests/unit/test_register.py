"""register(): which callbacks become exports, which class serves which root id, and what it refuses."""

from __future__ import annotations

from typing import Any, cast

import pytest

import proxy_wasm
from proxy_wasm import RootContext, StreamContext, register
from proxy_wasm.testing.abi import CALLBACKS
from proxy_wasm.testing.inprocess import InProcess

ALWAYS = {"proxy_on_context_create", "proxy_on_vm_start"}
STREAM_ONLY = [name for name in vars(StreamContext) if name.startswith("on_")]
ROOT_ONLY = [name for name in vars(RootContext) if name.startswith("on_")]


def test_the_methods_are_the_tables_callbacks() -> None:
    methods = {"proxy_" + name for name in STREAM_ONLY + ROOT_ONLY}
    assert methods | {"proxy_on_context_create"} == set(CALLBACKS)


def test_a_bare_root_exports_the_least() -> None:
    with InProcess(RootContext) as vm:
        assert vm.exports == ALWAYS


@pytest.mark.parametrize("method", ROOT_ONLY)
def test_a_roots_method_exports_its_callback(method: str) -> None:
    root = type("Root", (RootContext,), {method: lambda self, *_: True})
    with InProcess(root) as vm:
        assert vm.exports == ALWAYS | {"proxy_" + method}


@pytest.mark.parametrize("method", STREAM_ONLY)
def test_a_streams_method_exports_its_callback(method: str) -> None:
    stream = type("Stream", (StreamContext,), {method: lambda self, *_: None})
    # Inherited overrides count.
    root = type("Root", (RootContext,), {"stream_context": type("Derived", (stream,), {})})
    with InProcess(root) as vm:
        assert vm.exports == ALWAYS | {"proxy_on_delete", "proxy_" + method}


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
        assert "no root context is registered for root id 'two'" in vm.host.lines(4)[-1]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [({"stream_context": 1}, "stream_context"), ({"failure_policy": "close"}, "failure_policy")],
)
def test_wrong_attributes(attributes: dict[str, Any], message: str) -> None:
    with InProcess(), pytest.raises(TypeError, match=message):
        register(type("Root", (RootContext,), attributes))


def test_wrong_classes() -> None:
    with InProcess():
        for wrong in (StreamContext, RootContext(1), None):
            with pytest.raises(TypeError, match="subclass of RootContext"):
                register(cast(Any, wrong))
        register(RootContext)
        with pytest.raises(ValueError, match="already"):
            register(RootContext)
