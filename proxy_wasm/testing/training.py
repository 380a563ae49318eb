"""Trains a filter for the cold tier: of the built module, what its connections run is compiled and all else is interpreted.

`train` is for filters without a training of their own: it makes every callback that a connection or a request brings. A training of your
own is a module with such a function: after `start`, `configured` and what your proxy does all day, it yields the VM's memory, from which
the build reads what ran. After what happens seldom, it yields `seldom(vm)`.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.driver import Driver
from proxy_wasm.testing.exchange import Exchange
from proxy_wasm.testing.header_maps import pairs
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import PLUGIN_CONFIGURATION, Context, GrpcCall
from proxy_wasm.testing.wasm import WasmModule

if TYPE_CHECKING:
    from proxy_wasm._maps import Headers

SOURCES = ("127.22.0.10:58108", "172.22.0.11:443", "[::1]:57246", "[2001:db8::a]:58108", "[::ffff:203.0.113.9]:5555")
"""Source addresses of every kind: IPv4, IPv6, and IPv4 in IPv6."""


CALLBACK_SECONDS = 60.0
"""What one callback may take in a training."""

_FIRST_NUMBER = 1000
"""Contexts and calls have the numbers of a proxy that has run for a while. CPython has all integers up to 256 ready made, and what it
does with others it would never do in a training with small ones."""

_MILLISECOND = 10**6
_ERROR = 4
_NO_ROOT_ID, _REGISTERED = b"\xff", "; registered: "
_TRACEBACK = "Traceback (most recent call last):"


class TrainingWarning(UserWarning):
    """A training did not run what it was to run."""


class _Trained(WasmModule):
    """A VM that warns of what its filter should not do in a training: raise, or refuse its configuration."""

    _warned = False
    _seen = 0

    def create_context(self, parent_context_id: int = 0, properties: dict[bytes, bytes] | None = None) -> Context:
        if parent_context_id:
            self._next_context_id = max(self._next_context_id, _FIRST_NUMBER)
        return super().create_context(parent_context_id, properties)

    def _call(self, callback: str, *arguments: int) -> int | None:
        result = super()._call(callback, *arguments)
        if result == 0 and callback in ("proxy_on_vm_start", "proxy_on_configure"):
            self._warn_of_refusal(callback)
        lines = [text for level, text in self.host.logs[self._seen :] if level == _ERROR]
        self._seen = len(self.host.logs)
        begin = next((i for i, text in enumerate(lines) if _TRACEBACK in text), None)
        asked = self.host.properties.get(b"plugin_root_id") == _NO_ROOT_ID
        if begin is not None and not self._warned and not asked:
            self._warned = True
            text = "\n".join(lines[begin:])
            warnings.warn(f"{callback} raised an exception in the training:\n{text}", TrainingWarning, stacklevel=2)
        return result

    def _warn_of_refusal(self, callback: str) -> None:
        plugin = self.root.buffers.get(PLUGIN_CONFIGURATION, b"")
        configuration = plugin if callback == "proxy_on_configure" else self.host.vm_configuration
        warnings.warn(
            f"{callback} refused the configuration {configuration[:100]!r} in the training: what follows is trained with a filter that "
            "does not serve; say in a training of your own what it takes",
            TrainingWarning,
            stacklevel=2,
        )


def start(module: bytes, host: Host | None = None) -> WasmModule:
    """Returns a VM whose every run is the same: a module's bytes must not depend on chance.

    Its clock moves on a millisecond with each reading, so that who waits by the clock gets on. A callback that takes longer than
    `CALLBACK_SECONDS` raises GuestStuck.
    """
    vm = _Trained(module, host, limit_seconds=CALLBACK_SECONDS, quick=True)
    vm.host.next_call = _FIRST_NUMBER
    vm.host.random = bytes  # zeros
    vm.host.clock_step = _MILLISECOND
    return vm


def configured(vm: WasmModule) -> None:
    """Says that what ran so far need not be fast: it happens once, and interpreted it takes milliseconds."""
    vm.run_export("cold_tier_forget")


class Seldom(bytes):
    """A VM's memory after something that happens seldom, of which only what is hot is compiled."""

    seldom = True


def seldom(vm: WasmModule) -> Seldom:
    """Returns what a training yields after something that happens seldom, such as a configuration, and lets the module forget it."""
    memory = Seldom(vm.memory)
    configured(vm)
    return memory


def open_many(vm: Vm, sources: Iterable[str | None], count: int = 200) -> None:
    """Opens many connections at once and closes them all: tables and memory grow and shrink as they will in a proxy."""
    turns = list(sources)
    connections = [vm.connection(source=turns[i % len(turns)]) for i in range(count)]
    for connection in connections:
        connection.new_connection()
    for connection in connections:
        connection.close()


_REQUEST = {
    ":path": "/a/path?with=query",
    "user-agent": "Mozilla/5.0",
    "accept": "*/*",
    "accept-encoding": "gzip, br",
    "x-forwarded-proto": "http",
    "x-request-id": "7f3b7a9e-2d5c-4f2b-9d1d-2f1d5c4f2b9d",
    "content-type": "application/json",
}
_RESPONSE = {
    "content-type": "application/json",
    "server": "envoy",
    "date": "Sat, 28 Nov 2026 10:00:00 GMT",
    "x-envoy-upstream-service-time": "1",
}


@dataclass(frozen=True)
class _Answer:
    """What comes of a call, of HTTP or of gRPC."""

    status: int
    body: bytes = b""
    grpc_status: int = 0


_GOOD = _Answer(200, b"OK")
_OTHERS = (_Answer(403, b"no", 7), _Answer(503, b"upstream connect error", 14), _Answer(0, grpc_status=13))
"""A refusal, nobody who answers, and a call that is reset."""


def answer_calls(vm: Driver) -> None:
    """Answers the calls that wait for it, well; those that are made meanwhile wait for the next time."""
    _answer_calls(vm, _GOOD)


def _answer_calls(vm: Driver, answer: _Answer) -> None:
    for call, made in list(vm.host.http_calls.items()):
        if not made.answered and made.root_context_id in vm.host.contexts:
            headers = [(b":status", b"%d" % answer.status), *pairs(_RESPONSE)] if answer.status else []
            vm.http_call_response(call, headers, answer.body)
    for number, grpc_call in list(vm.host.grpc_calls.items()):
        if not grpc_call.ended and grpc_call.root_context_id in vm.host.contexts:
            _answer_grpc(vm, number, grpc_call, answer.grpc_status)


def _answer_grpc(vm: Driver, number: int, made: GrpcCall, status: int) -> None:
    metadata = [(b"content-type", b"application/grpc")]
    if not made.unary:
        vm.grpc_metadata(number, metadata)
        for _ in made.messages:
            if not made.ended:
                vm.grpc_receive(number, b"")
    if made.unary and not status:
        vm.grpc_receive(number, b"")
    elif not made.ended:
        if not made.unary:
            vm.grpc_metadata(number, metadata, trailing=True)
        vm.grpc_close(number, status, b"a message" if status else b"")


def _use(connection: Connection, answer: _Answer = _GOOD) -> None:
    connection.new_connection()
    _answer_calls(connection.vm, answer)
    if not connection.context.closed:
        connection.downstream_data(b"GET / HTTP/1.1\r\n\r\n")
        _answer_calls(connection.vm, answer)
    if connection.goes_on:
        connection.upstream_data(b"HTTP/1.1 200 OK\r\n\r\n", end_of_stream=True)
    connection.close()


_PIECES = [b'{"name": "value", "text": "', b"0123456789abcdef" * 40, b'"}']
_TRAILERS = {"x-checksum": "1"}
_AT_ONCE = 250
"""So many requests that CPython looks for garbage among what they hold."""


def exchange(vm: Vm, headers: Headers = (), body: Iterable[bytes] = (), trailers: Headers | None = None) -> None:
    """Sends a request through the filter and answers it, if the filter lets it; a response has the same body and trailers."""
    _respond(_request(vm, headers, body, trailers), body, trailers)


def _request(
    vm: Vm, headers: Headers, body: Iterable[bytes], trailers: Headers | None, answer: _Answer = _GOOD
) -> Exchange:
    made = vm.exchange()
    made.request([*_REQUEST.items(), *pairs(headers)], body, trailers)
    _answer_calls(vm, answer)
    _answer_calls(vm, answer)  # a second call, made when the first was answered
    if vm.host.tick_periods.get(vm.root.context_id):
        vm.tick()
    return made


def _respond(made: Exchange, body: Iterable[bytes], trailers: Headers | None) -> None:
    if made.upstream.headers is not None and made.local_response is None and not made.was_reset:
        made.respond(200, _RESPONSE, body, trailers)
        answer_calls(made.vm)
    made.close()
    # Thousands would be looked through for one that waits.
    for calls in (made.vm.host.http_calls, made.vm.host.grpc_calls):
        if len(calls) > _AT_ONCE:
            calls.clear()


def _exchange_many(vm: Vm) -> None:
    kinds: list[tuple[list[bytes], Headers | None]] = [([], None), (_PIECES, None), (_PIECES, _TRAILERS)]
    for answer in (*[_GOOD] * 6, *_OTHERS):
        for body, trailers in kinds:
            _respond(_request(vm, (), body, trailers, answer), body, trailers)
    # A request without an authority is logged, and nothing else.
    vm.exchange().close()
    waiting = [vm.exchange() for _ in range(_AT_ONCE)]
    for made in waiting:
        made.request(_REQUEST)
    # One that is over before its calls are answered, whose answers come all the same.
    waiting.pop().close()
    answer_calls(vm)
    for made in waiting:
        _respond(made, [], None)


def _connect_many(vm: Vm) -> None:
    for answer in (_GOOD, *_OTHERS):
        for source in SOURCES:
            _use(vm.connection(source=source, early_data=True), answer)
    open_many(vm, SOURCES)


def _use_root(vm: Vm) -> None:
    for answer in (_GOOD, *_OTHERS):
        vm.tick()
        for queue, entries in vm.host.queues.items():
            entries.append(b"an entry")
            vm.queue_ready(queue)
        _answer_calls(vm, answer)


def _root_ids(vm: Vm) -> list[bytes]:
    """Returns the root ids for which a filter has a class, of which an empty one is every other.

    They are in its refusal of a root id that no proxy has.
    """
    vm.host.properties[b"plugin_root_id"] = _NO_ROOT_ID
    vm.create_context()
    told = next((line for line in reversed(vm.host.lines(_ERROR)) if _REGISTERED in line), "")
    ids: list[str | None] = ast.literal_eval(told.partition(_REGISTERED)[2]) if told else [None]
    return [(root_id or "").encode() for root_id in ids]


def train(module: bytes, configuration: bytes = b"") -> Iterator[bytes]:
    """Yields the memory of a VM that has had connections, or requests, with this configuration of the plugin, for each of its root ids."""
    vm = start(module)
    of_http = any(name.startswith(("proxy_on_request_", "proxy_on_response_")) for name in vm.exports)
    of_tcp = not of_http or "proxy_on_new_connection" in vm.exports
    for root_id in _root_ids(vm):
        vm.start(configuration=configuration, root_id=root_id)
        configured(vm)
        if of_http:
            _exchange_many(vm)
        if of_tcp:
            _connect_many(vm)
        _use_root(vm)
        yield vm.memory
