"""One connection through a network filter, with the callbacks in the order in which Envoy makes them."""

from __future__ import annotations

from proxy_wasm.testing.driver import Driver, expect
from proxy_wasm.testing.foreign import CLUSTER
from proxy_wasm.testing.records import (
    CONTINUE,
    DOWNSTREAM,
    DOWNSTREAM_DATA,
    LOCAL,
    REMOTE,
    UNKNOWN,
    UPSTREAM_DATA,
    Context,
)


class Connection:
    """One connection through the filter. What Envoy never does with a connection raises NeverInEnvoyError."""

    def __init__(self, vm: Driver, context: Context, early_data: bool = False) -> None:
        self.vm = vm
        self.context = context
        self.early_data = early_data
        self._told = self._let_through = self._over = False
        self._ends: set[int] = set()

    @property
    def context_id(self) -> int:
        """The context's number."""
        return self.context.context_id

    @property
    def goes_on(self) -> bool:
        """Whether the filter let the connection go on, to `tcp_proxy` and its upstream server."""
        return (self._let_through or DOWNSTREAM in self.context.continued) and not self.context.closed

    @property
    def cluster(self) -> str | None:
        """The cluster that the filter chose; None if it left that to `tcp_proxy`."""
        chosen = self.context.envoy_filter_state.get(CLUSTER)
        return None if chosen is None else chosen.decode()

    @property
    def is_read(self) -> bool:
        """Whether Envoy reads from the client; if it does not, it does not notice either that the client left."""
        return self.goes_on or self.early_data

    def new_connection(self) -> int:
        """Tells the filter that the client has connected; returns the action."""
        expect(not self._told, "a filter is told of a connection once")
        self._told = True
        return self._acted(self.vm.call("proxy_on_new_connection", self.context_id))

    def downstream_data(self, data: bytes, end_of_stream: bool = False) -> int:
        """Gives the filter bytes from the client; returns the action."""
        self._expect_open()
        expect(
            self.is_read,
            "Envoy reads nothing from a client whose connection is paused in on_new_connection, unless tcp_proxy has "
            "max_early_data_bytes: continue it first, or make it with connection(early_data=True)",
        )
        return self._data("proxy_on_downstream_data", DOWNSTREAM_DATA, data, end_of_stream)

    def upstream_data(self, data: bytes, end_of_stream: bool = False) -> int:
        """Gives the filter bytes from the upstream server, after whose end its connection is closed; returns the action."""
        self._expect_open()
        expect(self.goes_on, "there is no upstream server before the filter lets the connection go on")
        action = self._data("proxy_on_upstream_data", UPSTREAM_DATA, data, end_of_stream)
        if end_of_stream:
            self.vm.call("proxy_on_upstream_connection_close", self.context_id, UNKNOWN)
        return action

    def _expect_open(self) -> None:
        expect(self._told, "on_new_connection comes before any data")
        expect(not self.context.closed, "the filter closed the connection: nothing comes but its end")
        expect(not self._over, "the connection has ended")

    def _data(self, callback: str, buffer: int, data: bytes, end_of_stream: bool) -> int:
        expect(buffer not in self._ends, "there was an end of stream, after which no data comes")
        if end_of_stream:
            self._ends.add(buffer)
        # What a paused filter did not pass on is still in the buffer.
        self.context.buffers[buffer] = self.context.buffers.get(buffer, b"") + data
        size = len(self.context.buffers[buffer])
        action = self._acted(self.vm.call(callback, self.context_id, size, int(end_of_stream)))
        if action == CONTINUE:
            self.context.buffers.pop(buffer, None)
        return action

    def _acted(self, action: int | None) -> int:
        self._let_through = self._let_through or not action
        return action or CONTINUE

    def upstream_close(self) -> None:
        """Closes the upstream connection: the filter sees the end of its data."""
        self.upstream_data(b"", end_of_stream=True)

    def close(self, peer: int | None = None) -> None:
        """Ends the connection and the context.

        It is the client that leaves, REMOTE, without an end of stream. LOCAL is Envoy: the filter closed the connection, both ends of
        stream were seen, or Envoy itself had enough.
        """
        expect(not self._over, "the connection has ended")
        local = self.context.closed or not self.is_read or {DOWNSTREAM_DATA, UPSTREAM_DATA} <= self._ends
        if peer is None:
            peer = LOCAL if local else REMOTE
        expect(
            self.is_read or peer != REMOTE or bool(self.context.closed),
            "Envoy does not notice that a client leaves while its connection is paused in on_new_connection, unless tcp_proxy has "
            "max_early_data_bytes: make it with connection(early_data=True)",
        )
        self._over = True
        self.vm.call("proxy_on_downstream_connection_close", self.context_id, peer)
        self.vm.call("proxy_on_done", self.context_id)
        self.vm.call("proxy_on_log", self.context_id)
        self.vm.delete(self.context)
