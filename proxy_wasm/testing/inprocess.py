"""A filter in this process: `with InProcess(MyRoot) as vm: ...`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from types import ModuleType, TracebackType
from typing import Any

import _proxy_wasm

from proxy_wasm import _dispatch, _errors, _http, _register
from proxy_wasm._contexts import RootContext
from proxy_wasm.testing import absent
from proxy_wasm.testing.boundary import BOUNDARY
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.output import GuestOutput

_NEEDED = {"on_http_call_response": "proxy_wasm.http", "on_tick": "proxy_wasm.timers"}


class InProcess(Vm):
    """A VM whose guest is this interpreter; what the filter registered and replaced is undone at the end of `with`.

    `grpc` says that the filter imports `proxy_wasm.grpc`, whose callbacks its module then has; None looks into its classes' modules. So
    it is with `proxy_wasm.http` and `proxy_wasm.timers`.
    """

    def __init__(
        self, root_class: type[RootContext] | None = None, host: Host | None = None, grpc: bool | None = None
    ) -> None:
        super().__init__(host)
        self._root_class = root_class
        grpc = _imports(root_class, "proxy_wasm.grpc") if grpc is None else grpc
        of_grpc = {name for name in _register.NEEDED if name.startswith("on_grpc_")} if grpc else set()
        self._needed = of_grpc | {name for name, module in _NEEDED.items() if _imports(root_class, module)}
        self._output = GuestOutput()

    def __enter__(self) -> InProcess:
        absent.refuse()
        self._undo = ExitStack()
        for holder, name, value in (
            (BOUNDARY, "host", self.host),
            (BOUNDARY, "callbacks", {}),
            (BOUNDARY, "first", {}),
            (BOUNDARY, "roots", None),
            (BOUNDARY, "streams", None),
            (BOUNDARY, "undecided", None),
            (BOUNDARY, "held_back", {}),
            (_register, "NEEDED", self._needed),
            (_errors, "in_proxy", True),
            (_http, "answers_wanted", False),
            (_proxy_wasm, "outside_vm", False),
            *absent.replacements(_modules(self._root_class)),
        ):
            self._undo.callback(setattr, holder, name, getattr(holder, name))
            setattr(holder, name, value)
        for table in (_dispatch.root_classes, _dispatch.roots, _dispatch.streams, _dispatch.undecided):
            self._undo.callback(_restore, table, table.copy())
            table.clear()
        self._undo.callback(_http.forget_all)
        self._undo.callback(_close_coroutines)
        if metrics := sys.modules.get("proxy_wasm.metrics"):
            self._undo.callback(_restore, metrics._numbers, metrics._numbers.copy())
            metrics._numbers.clear()
        if timers := sys.modules.get("proxy_wasm.timers"):
            self._undo.callback(setattr, timers, "monotonic_ns", timers.monotonic_ns)
            setattr(timers, "monotonic_ns", self.host.read_clock)  # noqa: B010
        if self._root_class is not None:
            try:
                _register.register(self._root_class)
            except BaseException:
                self._undo.close()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._undo.close()

    @property
    def exports(self) -> set[str]:
        """The callbacks that a module built from this filter would export."""
        return set(BOUNDARY.callbacks)

    def _call(self, callback: str, *arguments: int) -> int | None:
        return self._output.run(BOUNDARY.call_guest, callback, arguments)


def _close_coroutines() -> None:
    # Only a filter with an `async def` callback loads it.
    if awaiting := sys.modules.get("proxy_wasm._await"):
        awaiting.close_all()


def _imports(root_class: type[RootContext] | None, name: str) -> bool:
    """Tells whether the module of a root's class, or of its streams', has a module of the SDK's, or something of it."""
    values = [value for module in _modules(root_class) for value in vars(module).values()]
    return any(name in (getattr(value, "__name__", ""), getattr(value, "__module__", "")) for value in values)


def _modules(root_class: type[RootContext] | None) -> list[ModuleType]:
    classes = (root_class, getattr(root_class, "stream_context", None), getattr(root_class, "http_context", None))
    modules = [sys.modules.get(getattr(cls, "__module__", "")) for cls in classes if cls is not None]
    return [module for module in modules if module is not None]


def _restore(table: dict[Any, Any], entries: dict[Any, Any]) -> None:
    table.clear()
    table.update(entries)
