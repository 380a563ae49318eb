"""The contexts a filter is made of: a root for the plugin, a stream for each connection. Those of HTTP are in `_http_contexts`.

Every method has a default that does nothing, so an author overrides what the filter is about. What nobody overrides is
not exported by the built module, and the proxy does not call it.
"""

from __future__ import annotations

from proxy_wasm._types import Action, FailurePolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from proxy_wasm._fetch import fetch as _fetch
    from proxy_wasm._http_contexts import HttpContext
    from proxy_wasm._types import PeerType
    from proxy_wasm.routing import SourceRouter

    # What a callback returns that may be `async def`.
    Later = Coroutine[Any, Any, None]
    ActionOrLater = Action | None | Coroutine[Any, Any, Action | None]


class RootContext:
    """The plugin: one object for each plugin and VM, there before the first connection and after the last.

    A callback that is `async def` may `await self.fetch(cluster, path)`, and so it is in the contexts of connections and requests.
    """

    stream_context: type[StreamContext] | SourceRouter | None = None
    """The class of the connections' contexts, or what routes them; None where the plugin does not look at connections."""

    http_context: type[HttpContext] | None = None
    """The class of the HTTP requests' contexts; None if the plugin does not look at requests."""

    failure_policy: FailurePolicy = FailurePolicy.CONTINUE
    """What becomes of a connection or request when one of its callbacks raises."""

    if TYPE_CHECKING:  # only a filter with an `async def` callback has it
        fetch = _fetch

    def __init__(self, context_id: int) -> None:
        self.context_id = context_id

    def on_vm_start(self, configuration: bytes) -> bool:
        """Called once with the VM's configuration; False keeps the VM from starting."""
        return True

    def on_configure(self, configuration: bytes) -> bool:
        """Called with the plugin's configuration; False refuses it."""
        return True

    def on_tick(self) -> Later | None:
        """Called each time the period set by `set_tick_period` has passed."""

    def on_queue_ready(self, queue: int) -> Later | None:
        """Called when there is something in a queue that this plugin registered."""

    def on_foreign_function(self, function_id: int, argument: bytes) -> None:
        """Called by a foreign function of the host."""

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Called with the answer to an HTTP call that the root made; `get_http_answer` reads it."""

    def on_done(self) -> bool:
        """Called when the plugin goes away; after False it stays until it calls `done()`."""
        return True

    def on_log(self) -> None:
        """Called when the host wants this context's access-log entry."""

    def on_delete(self) -> None:
        """Called last; nothing is called on this context afterwards."""


class StreamContext:
    """One connection: made with its first callback, `on_new_connection`, and dropped after `on_delete`.

    A callback that is `async def` may `await self.fetch(cluster, path)`: the connection waits meanwhile.

    Where a class overrides nothing that comes after `on_new_connection`, it is dropped with that. A class that needs no attributes of
    its own is made faster if it says `__slots__ = ()`.
    """

    __slots__ = ("context_id", "root")

    if TYPE_CHECKING:
        fetch = _fetch

    def __init__(self, context_id: int, root: RootContext) -> None:
        self.context_id = context_id
        self.root = root

    def on_new_connection(self) -> ActionOrLater:
        """Called when a client has connected, before any byte is read; None is Action.CONTINUE."""
        return Action.CONTINUE

    def on_downstream_data(self, size: int, end_of_stream: bool) -> ActionOrLater:
        """Called when bytes came from the client; None is Action.CONTINUE."""
        return Action.CONTINUE

    def on_upstream_data(self, size: int, end_of_stream: bool) -> Action | None:
        """Called when bytes came from the upstream server; None is Action.CONTINUE."""
        return Action.CONTINUE

    def on_downstream_connection_close(self, peer: PeerType) -> None:
        """Called when the client's connection was closed."""

    def on_upstream_connection_close(self, peer: PeerType) -> None:
        """Called when the upstream connection was closed."""

    def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
        """Called with the answer to an HTTP call that the stream made, which `get_http_answer` reads; the default tells the root."""
        self.root.on_http_call_response(call, header_count, body_size, trailer_count)

    def on_done(self) -> bool:
        """Called when the connection is over; Envoy goes on to `on_log` and `on_delete` whatever it returns."""
        return True

    def on_log(self) -> None:
        """Called after `on_done`, when the connection's properties are final."""

    def on_delete(self) -> None:
        """Called last; the context is dropped afterwards."""
