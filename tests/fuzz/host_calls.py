"""The host-call boundary: whatever the proxy answers and calls, no exception leaves a callback, and no context or call stays behind."""

from __future__ import annotations

import proxy_wasm
from filter.plugin import Plugin
from proxy_wasm import _dispatch, _http
from proxy_wasm.testing.boundary import BOUNDARY
from proxy_wasm.testing.inprocess import InProcess
from tests.fuzz.hostile_host import Choices, HostileHost, drive, end


class EscapedError(AssertionError):
    """The SDK's own error handling raised."""


class Asking(proxy_wasm.StreamContext):
    """A connection that asks, and asks again."""

    def on_new_connection(self) -> proxy_wasm.Action:
        """Asks."""
        proxy_wasm.http_call("authz", {":method": "GET", ":path": "/", ":authority": "authz"})
        return proxy_wasm.Action.PAUSE

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Reads the answer."""
        answer = proxy_wasm.get_http_answer()
        if answer.failed:
            self.on_new_connection()
        else:
            proxy_wasm.continue_downstream()


class AskingPlugin(proxy_wasm.RootContext):
    """A plugin of such connections."""

    stream_context = Asking


def check(data: bytes) -> None:
    """Lets a hostile host drive two filters by the choices in `data`; raises AssertionError where the contract does not hold."""
    for plugin in (Plugin, AskingPlugin):
        _check(plugin, data)


def _check(plugin: type[proxy_wasm.RootContext], data: bytes) -> None:
    choices = Choices(data)
    escaped: list[BaseException] = []
    with InProcess(plugin, HostileHost(choices)) as vm:
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
        left = len(_dispatch.roots) + len(_dispatch.streams) + len(_http.callers)
    if escaped:
        raise EscapedError(repr(escaped[0])) from escaped[0]
    assert left == 0, f"{left} contexts or calls are left"
