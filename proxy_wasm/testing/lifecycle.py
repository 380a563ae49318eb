"""The callbacks in the order in which Envoy makes them, over whatever runs the filter."""

from __future__ import annotations

from abc import ABC, abstractmethod

from proxy_wasm.testing import abi
from proxy_wasm.testing.host import (
    DOWNSTREAM_DATA,
    FOREIGN_FUNCTION_ARGUMENTS,
    HTTP_CALL_RESPONSE_BODY,
    HTTP_CALL_RESPONSE_HEADERS,
    HTTP_CALL_RESPONSE_TRAILERS,
    PLUGIN_CONFIGURATION,
    UPSTREAM_DATA,
    VM_CONFIGURATION,
    Context,
    Host,
)

UNKNOWN, LOCAL, REMOTE = range(3)
CONTINUE, PAUSE = range(2)
Pairs = list[tuple[bytes, bytes]]


class Vm(ABC):
    """A VM with one plugin in it, driven by a test."""

    def __init__(self, host: Host | None = None) -> None:
        self.host = host or Host()
        self.root = Context(0)
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
        self.root = self.create_context()
        return self._configure("proxy_on_vm_start", VM_CONFIGURATION, vm_configuration) and self.configure(
            configuration
        )

    def configure(self, configuration: bytes = b"") -> bool:
        """Configures the plugin, for the first time or again; tells whether it accepted."""
        return self._configure("proxy_on_configure", PLUGIN_CONFIGURATION, configuration)

    def _configure(self, callback: str, buffer: int, configuration: bytes) -> bool:
        self.root.buffers[buffer] = configuration
        accepted = self.call(callback, self.root.context_id, len(configuration))
        del self.root.buffers[buffer]
        return accepted != 0

    def connection(self, properties: dict[bytes, bytes] | None = None, source: str | None = None) -> Connection:
        """Makes a connection's context; `source` is short for the property source.address."""
        properties = dict(properties or {})
        if source is not None:
            properties[b"source\0address"] = source.encode()
        return Connection(self, self.create_context(self.root.context_id, properties))

    def tick(self) -> None:
        """Lets the tick period pass once."""
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
        self, call: int, headers: Pairs | None = None, body: bytes = b"", trailers: Pairs | None = None
    ) -> None:
        """Answers an HTTP call, on the context that made it; no headers mean that it failed."""
        headers, trailers = headers or [], trailers or []
        context = self.host.contexts[self.host.http_calls[call].context_id]
        context.header_maps = {HTTP_CALL_RESPONSE_HEADERS: headers, HTTP_CALL_RESPONSE_TRAILERS: trailers}
        context.buffers[HTTP_CALL_RESPONSE_BODY] = body
        self.call("proxy_on_http_call_response", context.context_id, call, len(headers), len(body), len(trailers))
        context.header_maps = {}
        del context.buffers[HTTP_CALL_RESPONSE_BODY]

    def shutdown(self) -> bool:
        """Ends the plugin; False means that it wants to stay until it calls done()."""
        if self.call("proxy_on_done", self.root.context_id) == 0:
            return False
        self.delete(self.root)
        return True

    def delete(self, context: Context) -> None:
        """Ends a context for good."""
        self.call("proxy_on_delete", context.context_id)
        del self.host.contexts[context.context_id]


class Connection:
    """One connection through the filter."""

    def __init__(self, vm: Vm, context: Context) -> None:
        self.vm = vm
        self.context = context

    @property
    def context_id(self) -> int:
        """The context's number."""
        return self.context.context_id

    def new_connection(self) -> int:
        """Tells the filter that the client has connected; returns the action."""
        return self.vm.call("proxy_on_new_connection", self.context_id) or CONTINUE

    def downstream_data(self, data: bytes, end_of_stream: bool = False) -> int:
        """Gives the filter bytes from the client; returns the action."""
        return self._data("proxy_on_downstream_data", DOWNSTREAM_DATA, data, end_of_stream)

    def upstream_data(self, data: bytes, end_of_stream: bool = False) -> int:
        """Gives the filter bytes from the upstream server; returns the action."""
        return self._data("proxy_on_upstream_data", UPSTREAM_DATA, data, end_of_stream)

    def _data(self, callback: str, buffer: int, data: bytes, end_of_stream: bool) -> int:
        # What a paused filter did not pass on is still in the buffer.
        self.context.buffers[buffer] = self.context.buffers.get(buffer, b"") + data
        self.context.end_of_stream = end_of_stream
        size = len(self.context.buffers[buffer])
        action = self.vm.call(callback, self.context_id, size, int(end_of_stream)) or CONTINUE
        if action == CONTINUE:
            del self.context.buffers[buffer]
        return action

    def upstream_close(self, peer: int = REMOTE) -> None:
        """Closes the upstream connection."""
        self.vm.call("proxy_on_upstream_connection_close", self.context_id, peer)

    def close(self, peer: int = REMOTE) -> None:
        """Closes the client's connection and ends the context."""
        self.vm.call("proxy_on_downstream_connection_close", self.context_id, peer)
        self.vm.call("proxy_on_done", self.context_id)
        self.vm.call("proxy_on_log", self.context_id)
        self.vm.delete(self.context)
