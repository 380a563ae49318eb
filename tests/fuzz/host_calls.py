"""The host-call boundary: whatever the proxy answers and calls, no exception leaves a callback, and no context stays behind."""

from __future__ import annotations

from filter.plugin import Plugin
from proxy_wasm import _dispatch
from proxy_wasm.testing.boundary import BOUNDARY
from proxy_wasm.testing.inprocess import InProcess
from tests.fuzz.hostile_host import Choices, HostileHost, drive, end


class EscapedError(AssertionError):
    """The SDK's own error handling raised."""


def check(data: bytes) -> None:
    """Lets a hostile host drive the routing filter by the choices in `data`; raises AssertionError where the contract does not hold."""
    choices = Choices(data)
    escaped: list[BaseException] = []
    with InProcess(Plugin, HostileHost(choices)) as vm:
        handler = BOUNDARY.error_handler
        assert handler is not None

        def handle(callback: str, context_id: int, error: BaseException, parent_context_id: int) -> int:
            # An AssertionError is one of the host's own, about what it was given.
            if isinstance(error, AssertionError):
                escaped.append(error)
            try:
                return handler(callback, context_id, error, parent_context_id)
            except BaseException as another:
                escaped.append(another)
                raise

        BOUNDARY.error_handler = handle
        try:
            drive(vm, choices)
            end(vm)
        finally:
            BOUNDARY.error_handler = handler
        left = len(_dispatch.roots) + len(_dispatch.streams)
    if escaped:
        raise EscapedError(repr(escaped[0])) from escaped[0]
    assert left == 0, f"{left} contexts are left"
