"""The callbacks to a VM and its root, in the order in which Envoy makes them, over whatever runs the filter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from proxy_wasm.testing import abi
from proxy_wasm.testing.header_maps import pairs
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.records import (
    FOREIGN_FUNCTION_ARGUMENTS,
    GRPC_INITIAL_METADATA,
    GRPC_MESSAGE,
    GRPC_TRAILING_METADATA,
    HTTP_CALL_RESPONSE_BODY,
    HTTP_CALL_RESPONSE_HEADERS,
    HTTP_CALL_RESPONSE_TRAILERS,
    PLUGIN_CONFIGURATION,
    Context,
    GrpcCall,
    HttpCall,
    Pairs,
)

if TYPE_CHECKING:
    from proxy_wasm._maps import Headers

_FAILURES = {
    502: b"upstream connect error or disconnect/reset before headers. reset reason: protocol error",
    503: b"upstream connect error or disconnect/reset before headers. reset reason: connection termination",
    504: b"upstream request timeout",
}


class NeverInEnvoyError(AssertionError):
    """The test makes a callback that no Envoy would make here."""


def expect(condition: bool, otherwise: str) -> None:
    """Raises NeverInEnvoyError with this sentence, unless the condition holds."""
    if not condition:
        raise NeverInEnvoyError(otherwise)


class Driver(ABC):
    """A VM with one plugin in it: its root, and what the root is told of."""

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
        ends = "a message ends it, or a close" if made.unary else "a close ends it"
        expect(not made.ended, f"gRPC call {call} is over: {ends}")
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
