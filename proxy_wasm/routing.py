"""Routing by the source address in the quickest way that there is: `from proxy_wasm.routing import SourceRouter`.

In a built module the boundary does what is here in Python, but for the author's function (`boundary/routing.h` in the toolchain). Both make
the same host calls in the same order.
"""

from __future__ import annotations

import _proxy_wasm

from proxy_wasm._calls import call_foreign_function, get_property, increment_metric, log, packed_address, property_path
from proxy_wasm._contexts import StreamContext
from proxy_wasm._errors import HostError
from proxy_wasm._protobuf import cluster_argument
from proxy_wasm._types import Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar

    from proxy_wasm._contexts import RootContext

__all__ = ["SourceRouter"]

_SOURCE_ADDRESS = property_path("source", "address")
_KEPT = 256
_INFO = 2  # LogLevel.INFO


class SourceRouter:
    """Sends each connection to the cluster that a function names for its source address: a root's `stream_context`.

    `choose(source, argument)` is given the packed address, 4 or 16 bytes, and the router's argument. It returns the cluster's name, None
    to leave the connection to `tcp_proxy`'s own cluster, or an action if it has seen to the connection itself. There is no object for a
    connection, so no other callback can be about one.

    `routed(address, cluster)`, if there is one, is told where a connection went, with the address as the proxy writes it. Bytes in its
    place are a line for the log, at level info, with `%b` for the address and then `%b` for the cluster. ValueError if they have more.

    What is not as usual goes to the methods that begin with `on_`.
    """

    __slots__ = ("argument", "choose", "routed", "targets")

    stream_class: ClassVar[type[StreamContext]]

    def __init__(
        self,
        choose: Callable[[bytes, Any], str | Action | None],
        argument: Any = None,
        routed: Callable[[bytes, str], object] | bytes | None = None,
    ) -> None:
        if isinstance(routed, bytes) and (routed.count(b"%b"), routed.count(b"%")) != (2, 2):
            raise ValueError(f"routed: {routed!r} must have %b for the address and %b for the cluster, and no other %")
        self.choose = choose
        self.argument = argument
        self.routed = routed
        self.targets: dict[str, tuple[bytes, int]] = {}

    def __init_subclass__(cls) -> None:
        if cls.connect is not SourceRouter.connect:
            raise TypeError(f"{cls.__name__}.connect would not be called: a built module does this itself")

    def __call__(self, context_id: int, root: RootContext) -> StreamContext:
        """Returns a connection's context: it asks the router."""
        return _Routed(context_id, root, self)

    def connect(self) -> Action | None:
        """Decides about the connection in whose name host calls are made; for a context of one's own, as its `on_new_connection`."""
        cluster = None
        try:
            address = get_property(_SOURCE_ADDRESS)
            source = packed_address(address) if address else None
            if source is not None:
                chosen = self.choose(source, self.argument)
                if chosen is None or isinstance(chosen, Action):
                    return chosen
                cluster = chosen
                message, counter = self.targets.get(cluster) or self.add(cluster)
                call_foreign_function(b"set_envoy_filter_state", message)
        except BaseException as error:
            return self.on_failed(error, cluster)
        if source is None or cluster is None:
            return self.on_unrouted(address)
        if counter:
            try:
                increment_metric(counter, 1)
            except HostError as error:
                self.on_uncounted(error)
        if self.routed is not None:
            self._tell(address or b"", cluster)
        return None

    def _tell(self, address: bytes, cluster: str) -> None:
        """Tells of a connection that went somewhere."""
        if callable(self.routed):
            self.routed(address, cluster)
        elif self.routed is not None:
            try:
                log(_INFO, self.routed % (address, cluster.encode()))
            except HostError:
                return

    def add(self, cluster: str) -> tuple[bytes, int]:
        """Encodes the message for a cluster, and asks for its counter: done once for each, or beforehand."""
        if len(self.targets) >= _KEPT:
            self.targets = {}  # and not cleared: the boundary knows the dictionary
        target = self.targets[cluster] = cluster_argument(cluster), self.counter_of(cluster)
        return target

    def counter_of(self, cluster: str) -> int:
        """Returns the number of the metric that counts a cluster's connections; 0, the default: they are not counted."""
        return 0

    def on_unrouted(self, address: bytes | None) -> Action | None:
        """Decides about a connection without an IP address: that of a Unix socket. The default leaves it to `tcp_proxy`."""
        return None

    def on_failed(self, error: BaseException, cluster: str | None) -> Action | None:
        """Decides about a connection if something raised: the function, or the proxy, which did not take this cluster.

        The default leaves it to the root's failure policy.
        """
        raise error

    def on_uncounted(self, error: HostError) -> None:
        """Called if the proxy refuses to count. The default counts no more: a count decides about nothing."""
        self.targets = {cluster: (message, 0) for cluster, (message, _) in self.targets.items()}


class _Routed(StreamContext):
    """A connection that came to Python although a router decides about it."""

    __slots__ = ("router",)

    def __init__(self, context_id: int, root: RootContext, router: SourceRouter) -> None:
        super().__init__(context_id, root)
        self.router = router

    def on_new_connection(self) -> Action | None:
        return self.router.connect()


SourceRouter.stream_class = _Routed


def _set_router() -> None:
    methods = ("add", "on_unrouted", "on_failed", "on_uncounted")
    example = SourceRouter(lambda source, argument: None, object(), lambda address, cluster: None)
    slots = (example.choose, example.argument, example.targets, example.routed)
    _proxy_wasm.set_router(SourceRouter, methods, example, *slots)


_set_router()
