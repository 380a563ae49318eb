"""A filter in this process: `with InProcess(MyRoot) as vm: ...`."""

from __future__ import annotations

import sys
from types import TracebackType

from proxy_wasm import _dispatch
from proxy_wasm._contexts import RootContext
from proxy_wasm.testing.boundary import BOUNDARY
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.lifecycle import Vm


class InProcess(Vm):
    """A VM whose guest is this interpreter; what the filter registered and replaced is undone at the end of `with`."""

    def __init__(self, root_class: type[RootContext] | None = None, host: Host | None = None) -> None:
        super().__init__(host)
        self._root_class = root_class

    def __enter__(self) -> InProcess:
        self._boundary = BOUNDARY.host, BOUNDARY.callbacks, BOUNDARY.connection_handler
        self._saved = (
            _dispatch.root_classes.copy(),
            _dispatch.roots.copy(),
            _dispatch.streams.copy(),
            sys.stdout,
            sys.stderr,
        )
        BOUNDARY.host, BOUNDARY.callbacks = self.host, {}
        BOUNDARY.connection_handler, BOUNDARY.held_back = None, {}
        for table in (_dispatch.root_classes, _dispatch.roots, _dispatch.streams):
            table.clear()
        if self._root_class is not None:
            _dispatch.register(self._root_class)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        (BOUNDARY.host, BOUNDARY.callbacks, BOUNDARY.connection_handler), BOUNDARY.held_back = self._boundary, {}
        root_classes, roots, streams, sys.stdout, sys.stderr = self._saved
        for table in (_dispatch.root_classes, _dispatch.roots, _dispatch.streams):
            table.clear()
        _dispatch.root_classes.update(root_classes)
        _dispatch.roots.update(roots)
        _dispatch.streams.update(streams)

    @property
    def exports(self) -> set[str]:
        """The callbacks that a module built from this filter would export."""
        return set(BOUNDARY.callbacks)

    def _call(self, callback: str, *arguments: int) -> int | None:
        return BOUNDARY.call_guest(callback, arguments)
