"""The callbacks in the order in which Envoy makes them, over whatever runs the filter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from proxy_wasm.testing import abi
from proxy_wasm.testing.attributes import Properties, Value
from proxy_wasm.testing.exchange import Exchange, expect, pairs
from proxy_wasm.testing.exchange import NeverInEnvoyError as NeverInEnvoyError
from proxy_wasm.testing.foreign import CLUSTER
from proxy_wasm.testing.given import encoded
from proxy_wasm.testing.host import (
    DOWNSTREAM,
    DOWNSTREAM_DATA,
    FOREIGN_FUNCTION_ARGUMENTS,
    GRPC_MESSAGE,
    HTTP_CALL_RESPONSE_BODY,
    PLUGIN_CONFIGURATION,
    UPSTREAM_DATA,
    Context,
    Host,
    HttpCall,
)
from proxy_wasm.testing.http import (
    GRPC_INITIAL_METADATA,
    GRPC_TRAILING_METADATA,
    HTTP_CALL_RESPONSE_HEADERS,
    HTTP_CALL_RESPONSE_TRAILERS,
    GrpcCall,
    Pairs,
)

if TYPE_CHECKING:
    from proxy_wasm._maps import Headers

UNKNOWN, LOCAL, REMOTE = range(3)
CONTINUE, PAUSE = range(2)

_FAILURES = {
    502: b"upstream connect error or disconnect/reset before headers. reset reason: protocol error",
    503: b"upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    504: b"upstream request timeout",
}


class Vm(ABC):
    """A VM with one plugin in it, driven by a test."""

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or Host()
        self.root = Context(0)
        self.start_lines: list[str] = []
        """What the fixtures' VMs logged when they started, before the test's own lines."""

        self._next_context_id = 1

    @abstractmethod
    def _call(self, callback: str, *arguments: int) -> int | None:
        """Calls a callback and returns its result; None where there is no result or no such callback."""

    def call(self, callback: str, context_id: int, *arguments: int) -> int | None:
        """Makes one callback on a context, as the proxy would, and returns its result."""
        saved = self.host.context_id, self.host.effective_context_id
        self.host.context_id, self.host.effective_context_id = context_id, 0
        try:
            result = self._call(callback, context_id, *arguments)
        finally:
            self.host.context_id, self.host.effective_context_id = saved
        if self.host.crash is not None:
            raise self.host.crash
        while self.host.after_call:
            self.host.after_call.pop(0)()
        if self.root.done and callback != "proxy_on_delete" and self.root.context_id in self.host.contexts:
            self.delete(self.root)
        return None if abi.CALLBACKS[callback].result is None else result

    def create_context(self, parent_context_id: int = 0, properties: dict[bytes, bytes] | None = None) -> Context:
        """Makes a context, a root where it has no parent, and tells the filter."""
        context = Context(self._next_context_id, parent_context_id, dict(properties or {}))
        self._next_context_id += 1
        self.host.contexts[context.context_id] = context
        self.call("proxy_on_context_create", context.context_id, parent_context_id)
        return context

    def start(self, vm_configuration: bytes = b"", configuration: bytes = b"", root_id: bytes = b"") -> bool:
        """Starts the VM and configures the plugin; tells whether both were accepted."""
        self.host.properties[b"plugin_root_id"] = root_id
        self.host.vm_configuration = vm_configuration
        self.root = self.create_context()
        started = self.call("proxy_on_vm_start", self.root.context_id, len(vm_configuration)) != 0
        return started and self.configure(configuration)

    def configure(self, configuration: bytes = b"") -> bool:
        """Configures the plugin, for the first time or again; tells whether it accepted."""
        self.root.buffers[PLUGIN_CONFIGURATION] = configuration
        accepted = self.call("proxy_on_configure", self.root.context_id, len(configuration))
        del self.root.buffers[PLUGIN_CONFIGURATION]
        return accepted != 0

    def connection(
        self, properties: Properties | None = None, source: str | bytes | None = None, early_data: bool = False
    ) -> Connection:
        """Makes a connection's context; `source` is short for the attributes source.address and source.port.

        Properties have names such as "destination.port", and values of their types; or encoded paths, and bytes. ValueError: Envoy has
        no such attribute, or it is of another type or form.
        `early_data` says that `tcp_proxy` has `max_early_data_bytes`: Envoy then reads from the client while `on_new_connection` is
        paused.
        """
        return Connection(self, self.create_context(self.root.context_id, _with(properties, source)), early_data)

    def exchange(self, properties: Properties | None = None, source: str | bytes | None = None) -> Exchange:
        """Makes the context of an HTTP request; properties and `source` are as those of a connection."""
        return Exchange(self, self.create_context(self.root.context_id, _with(properties, source)))

    def tick(self) -> None:
        """Lets the time to the next tick pass, and ticks."""
        self.host.await_tick(self.root.context_id)
        self.call("proxy_on_tick", self.root.context_id)

    def queue_ready(self, queue: int) -> None:
        """Tells the plugin that a queue has something for it."""
        self.call("proxy_on_queue_ready", self.root.context_id, queue)

    def foreign_function(self, function_id: int, argument: bytes = b"") -> None:
        """Calls the plugin as a foreign function of the host would."""
        self.root.buffers[FOREIGN_FUNCTION_ARGUMENTS] = argument
        self.call("proxy_on_foreign_function", self.root.context_id, function_id, len(argument))
        del self.root.buffers[FOREIGN_FUNCTION_ARGUMENTS]

    def http_call_response(
        self, call: int, headers: Headers = (), body: bytes | str = b"", trailers: Headers = ()
    ) -> None:
        """Answers an HTTP call as Envoy does, on the root; no headers mean that the call was reset."""
        headers, trailers = pairs(headers), pairs(trailers)
        body = body.encode() if isinstance(body, str) else body
        made = self.host.http_calls[call]
        expect(not made.answered, f"call {call} was answered before, and a call has one answer")
        expect(made.root_context_id in self.host.contexts, f"call {call} was cancelled when its root context went away")
        made.answered = True
        root = self.host.contexts[made.root_context_id]
        if headers:
            root.header_maps = {HTTP_CALL_RESPONSE_HEADERS: headers}
            if trailers:
                root.header_maps[HTTP_CALL_RESPONSE_TRAILERS] = trailers
            root.buffers[HTTP_CALL_RESPONSE_BODY] = body
        sizes = len(headers), len(body), len(trailers)
        self.call("proxy_on_http_call_response", root.context_id, call, *sizes)
        root.header_maps = {}
        root.buffers.pop(HTTP_CALL_RESPONSE_BODY, None)

    def answer(self, status: int = 200, headers: Headers = (), body: bytes | str = b"") -> HttpCall:
        """Answers the oldest HTTP call that waits for its answer, and returns the call; AssertionError if none waits."""
        for call, made in list(self.host.http_calls.items()):
            if not made.answered:
                self.http_call_response(call, [(b":status", b"%d" % status), *pairs(headers)], body)
                return made
        raise AssertionError(f"the filter waits for no HTTP call; it logged {self.host.lines()}")

    def http_call_failure(self, call: int, status: int = 503) -> None:
        """Answers an HTTP call as Envoy does if nobody else answers: 503, 504 if the time is over, 502 for an answer that is no HTTP."""
        body = _FAILURES[status]
        headers = [
            (b":status", b"%d" % status),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"text/plain"),
        ]
        self.http_call_response(call, headers, body)

    def grpc_receive(self, call: int, message: bytes) -> None:
        """Brings a message of a gRPC stream; that of a call is its answer, after which nothing comes."""
        made = self._open_call(call)
        made.ended = made.unary
        root = self.host.contexts[made.root_context_id]
        root.buffers[GRPC_MESSAGE] = message
        self.call("proxy_on_grpc_receive", root.context_id, call, len(message))
        root.buffers.pop(GRPC_MESSAGE, None)

    def grpc_metadata(self, call: int, pairs: Pairs, trailing: bool = False) -> None:
        """Brings the first or the last metadata of a gRPC stream."""
        made = self._open_call(call)
        root = self.host.contexts[made.root_context_id]
        root.header_maps = {GRPC_TRAILING_METADATA if trailing else GRPC_INITIAL_METADATA: pairs}
        kind = "trailing" if trailing else "initial"
        self.call(f"proxy_on_grpc_receive_{kind}_metadata", root.context_id, call, len(pairs))
        root.header_maps = {}

    def grpc_close(self, call: int, status: int, message: bytes = b"") -> None:
        """Ends a gRPC stream, or a call that failed."""
        made = self._open_call(call)
        expect(not made.unary or status != 0, "a call that succeeds is answered, and not closed")
        made.ended = True
        self.host.grpc_status = status, message
        self.call("proxy_on_grpc_close", made.root_context_id, call, status)

    def _open_call(self, call: int) -> GrpcCall:
        made = self.host.grpc_calls[call]
        expect(not made.ended, f"gRPC call {call} is over")
        return made

    def take_failures(self) -> list[str]:
        """Returns the tracebacks of callbacks that raised since it was last asked, in the log's form.

        A test with the fixture `vm` or `wasm_vm` fails of those that it does not take. What `on_vm_start` and `on_configure` raise is
        not among them: they answer False.
        """
        failures = self.host.failures
        taken = list(failures)
        failures.clear()
        return taken

    def shutdown(self) -> bool:
        """Ends the plugin; False means that it wants to stay until it calls done()."""
        if self.call("proxy_on_done", self.root.context_id) == 0:
            self.host.pending_done.add(self.root.context_id)
            return False
        self.delete(self.root)
        return True

    def delete(self, context: Context) -> None:
        """Ends a context for good."""
        self.call("proxy_on_delete", context.context_id)
        del self.host.contexts[context.context_id]


def _with(properties: Properties | None, source: str | bytes | None) -> dict[bytes, bytes]:
    text = source.decode("latin-1") if isinstance(source, bytes) else source or ""
    port = text.rpartition(":")[2]
    address: dict[str, Value] = {} if source is None else {"source.address": source}
    if port.isascii() and port.isdigit() and len(port) <= 5:
        address["source.port"] = int(port)
    return encoded(address) | encoded(properties or {})


class Connection:
    """One connection through the filter. What Envoy never does with a connection raises NeverInEnvoyError."""

    def __init__(self, vm: Vm, context: Context, early_data: bool = False) -> None:
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
