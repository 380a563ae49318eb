"""Routing by the source address in the quickest way that there is: `from proxy_wasm.routing import SourceRouter, SourceTable`.

In a built module the boundary does what is here in Python, but for the author's function (`boundary/routing.h` and
`boundary/source_table.h` in the toolchain). Both make the same host calls in the same order.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import repeat

import _proxy_wasm

from proxy_wasm._calls import (
    call_foreign_function,
    get_property,
    increment_metric,
    log,
    packed_address,
    property_path,
    set_property,
)
from proxy_wasm._contexts import StreamContext
from proxy_wasm._errors import HostError
from proxy_wasm._protobuf import cluster_argument
from proxy_wasm._types import Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, ClassVar, Literal

    from proxy_wasm._contexts import RootContext

    Choose = Callable[[bytes, Any], str | Action | None]
    Value = str | tuple[str | None, str | None] | None
    Target = tuple[bytes, int, tuple[bytes, bytes] | None]

__all__ = ["SourceRouter", "SourceTable"]

_SOURCE_ADDRESS = property_path("source", "address")
_KEPT = 256
_INFO = 2  # LogLevel.INFO
_ORDER: Literal["big"] = "big"
_TYPES = {str, tuple, type(None)}


class SourceTable:
    """Knows the cluster of each block of source addresses: as a router's `choose` it is asked without Python.

    Each family has the addresses at which its blocks begin, and the blocks' values. The addresses are numbers, and ascend. There is one
    value more: the first one is that of all addresses below. Between two equal addresses is no block.

    A value is a cluster, two of them for even and odd addresses, or None. Then `otherwise(source, argument)` is asked, which
    may do all that a router's function may. Without `otherwise`, None leaves the connection to `tcp_proxy`'s own cluster.

    TypeError or ValueError, if it is no such table. It does not change.
    """

    __slots__ = ("ipv4_starts", "ipv4_values", "ipv6_starts", "ipv6_values", "otherwise")

    def __init__(
        self,
        ipv4: tuple[Sequence[int], Sequence[Value]] = ((), (None,)),
        ipv6: tuple[Sequence[int], Sequence[Value]] = ((), (None,)),
        otherwise: Choose | None = None,
    ) -> None:
        if otherwise is not None and not callable(otherwise):
            raise TypeError(f"otherwise: {otherwise!r} must be a function, or None")
        self.ipv4_starts, self.ipv4_values = _packed("ipv4", *ipv4, 4)
        self.ipv6_starts, self.ipv6_values = _packed("ipv6", *ipv6, 16)
        self.otherwise = otherwise

    def __call__(self, source: bytes, argument: Any = None) -> str | Action | None:
        """Returns the cluster for a packed address, or what `otherwise` says."""
        size = len(source)
        starts, values = (self.ipv4_starts, self.ipv4_values) if size == 4 else (self.ipv6_starts, self.ipv6_values)
        places = range(0, len(starts), size)
        value = values[bisect_right(places, source, key=lambda place: starts[place : place + size])]
        if isinstance(value, tuple):
            value = value[source[-1] % 2]
        if value is None and self.otherwise is not None:
            return self.otherwise(source, argument)
        return value


def _packed(family: str, starts: Sequence[int], values: Sequence[Value], size: int) -> tuple[bytes, tuple[Value, ...]]:
    """Returns a family's addresses in one, and its values: they may be many, and only functions of C look at each."""
    if len(values) != len(starts) + 1:
        raise ValueError(f"{family}: {len(starts)} addresses must have one value more, not {len(values)}")
    if sorted(starts) != list(starts):
        raise ValueError(f"{family}: the addresses must ascend")
    try:
        packed = b"".join(map(int.to_bytes, starts, repeat(size), repeat(_ORDER)))
    except OverflowError:
        raise ValueError(f"{family}: an address has at most {8 * size} bits, and no sign") from None
    try:
        # What is of another type may be equal to a value.
        distinct: Iterable[Value] = set(values) if set(map(type, values)) <= _TYPES else values
    except TypeError:
        distinct = values  # what cannot be in a set is no value
    for value in distinct:
        clusters = value if type(value) is tuple and len(value) == 2 else (value,)
        if not all(isinstance(cluster, str | None) for cluster in clusters):
            raise TypeError(f"{family}: {value!r} must be a cluster, two of them, or None")
    return packed, tuple(values)


class SourceRouter:
    """Sends each connection to the cluster that a function names for its source address: a root's `stream_context`.

    `choose(source, argument)` is given the packed address, 4 or 16 bytes, and the router's argument. It returns the cluster's name, None
    to leave the connection to `tcp_proxy`'s own cluster, or an action if it has seen to the connection itself. There is no object for a
    connection, so no other callback can be about one. A `SourceTable` in its place is quicker than a function.

    `routed(address, cluster)`, if there is one, is told where a connection went, with the address as the proxy writes it. Bytes in its
    place are a line for the log, at level info, with `%b` for the address and then `%b` for the cluster. ValueError if they have more.

    What is not as usual goes to the methods that begin with `on_`.
    """

    __slots__ = ("argument", "choose", "routed", "targets")

    stream_class: ClassVar[type[StreamContext]]

    def __init__(
        self,
        choose: Choose,
        argument: Any = None,
        routed: Callable[[bytes, str], object] | bytes | None = None,
    ) -> None:
        if isinstance(routed, bytes) and (routed.count(b"%b"), routed.count(b"%")) != (2, 2):
            raise ValueError(f"routed: {routed!r} must have %b for the address and %b for the cluster, and no other %")
        self.choose = choose
        self.argument = argument
        self.routed = routed
        self.targets: dict[str, Target] = {}

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
                message, counter, told = self.targets.get(cluster) or self.add(cluster)
                if told is not None:
                    self._set(*told)
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

    def _set(self, path: bytes, value: bytes) -> None:
        """Sets the property that tells of a cluster."""
        try:
            set_property(path, value)
        except HostError as error:
            self.on_unset(error)

    def _tell(self, address: bytes, cluster: str) -> None:
        """Tells of a connection that went somewhere."""
        if callable(self.routed):
            self.routed(address, cluster)
        elif self.routed is not None:
            try:
                log(_INFO, self.routed % (address, cluster.encode()))
            except HostError:
                return

    def add(self, cluster: str) -> Target:
        """Encodes the message for a cluster, and asks for its counter and property: done once for each, or beforehand."""
        if not isinstance(cluster, str | bytes):
            raise TypeError(f"choose: {cluster!r} must be a cluster, None or an action")
        if len(self.targets) >= _KEPT:
            self.targets = {}  # and not cleared: the boundary knows the dictionary
        target: Target = cluster_argument(cluster), self.counter_of(cluster), self.property_of(cluster)
        self.targets[cluster] = target
        return target

    def counter_of(self, cluster: str) -> int:
        """Returns the number of the metric that counts a cluster's connections; 0, the default: they are not counted."""
        return 0

    def property_of(self, cluster: str) -> tuple[bytes, bytes] | None:
        """Returns the path and the value of a property that is set for a cluster's connections; None, the default: there is none.

        An access log can show it: Envoy knows it by its path, with "wasm." before it.
        """
        return None

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
        self.targets = {cluster: (message, 0, told) for cluster, (message, _, told) in self.targets.items()}

    def on_unset(self, error: HostError) -> None:
        """Called if the proxy refuses to set a property. The default sets none any more: it decides about nothing."""
        self.targets = {cluster: (message, counter, None) for cluster, (message, counter, _) in self.targets.items()}


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
    methods = ("add", "on_unrouted", "on_failed", "on_uncounted", "on_unset")
    example = SourceRouter(lambda source, argument: None, object(), lambda address, cluster: None)
    slots = (example.choose, example.argument, example.targets, example.routed)
    _proxy_wasm.set_router(SourceRouter, methods, example, *slots)
    table = SourceTable(([0], ("below", None)), ([0], ("below", None)), example.choose)
    families = (table.ipv4_starts, table.ipv4_values, table.ipv6_starts, table.ipv6_values)
    _proxy_wasm.set_source_table(SourceTable, table, *families, table.otherwise)


_set_router()
