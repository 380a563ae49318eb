"""Trains a filter for the cold tier: of the built module, what its connections run is compiled and all else is interpreted.

`train` is for filters without a training of their own: it makes every callback that a connection or a request brings. A training of your
own is a module with such a function: after `start`, `configured` and what your proxy does all day, it yields the VM's memory, from which
the build reads what ran. After what happens seldom, it yields `seldom(vm)`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from proxy_wasm.testing.exchange import pairs
from proxy_wasm.testing.host import PLUGIN_CONFIGURATION, Host
from proxy_wasm.testing.lifecycle import Connection, Vm
from proxy_wasm.testing.wasm import WasmModule

if TYPE_CHECKING:
    from proxy_wasm._maps import Headers

SOURCES = ("127.22.0.10:58108", "172.22.0.11:443", "[::1]:57246", "[2001:db8::a]:58108", "[::ffff:203.0.113.9]:5555")
"""Source addresses of every kind: IPv4, IPv6, and IPv4 in IPv6."""


CALLBACK_SECONDS = 60.0
"""What one callback may take in a training."""

_MILLISECOND = 10**6
_ERROR = 4
_TRACEBACK = "Traceback (most recent call last):"


class TrainingWarning(UserWarning):
    """A training did not run what it was to run."""


class _Trained(WasmModule):
    """A VM that warns of what its filter should not do in a training: raise, or refuse its configuration."""

    _warned = False
    _seen = 0

    def _call(self, callback: str, *arguments: int) -> int | None:
        result = super()._call(callback, *arguments)
        if result == 0 and callback in ("proxy_on_vm_start", "proxy_on_configure"):
            self._warn_of_refusal(callback)
        lines = [text for level, text in self.host.logs[self._seen :] if level == _ERROR]
        self._seen = len(self.host.logs)
        begin = next((i for i, text in enumerate(lines) if _TRACEBACK in text), None)
        if begin is not None and not self._warned:
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
    vm = _Trained(module, host, limit_seconds=CALLBACK_SECONDS)
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


def open_many(vm: WasmModule, sources: Iterable[str | None], count: int = 200) -> None:
    """Opens many connections at once and closes them all: tables and memory grow and shrink as they will in a proxy."""
    turns = list(sources)
    connections = [vm.connection(source=turns[i % len(turns)]) for i in range(count)]
    for connection in connections:
        connection.new_connection()
    for connection in connections:
        connection.close()


def answer_calls(vm: Vm) -> None:
    """Answers the HTTP calls that wait for it, with 200 and a body; those that are made meanwhile wait for the next time."""
    for call, made in list(vm.host.http_calls.items()):
        if not made.answered:
            vm.http_call_response(call, [(b":status", b"200"), (b"content-type", b"text/plain")], b"OK")


def _use(connection: Connection) -> None:
    connection.new_connection()
    answer_calls(connection.vm)
    if not connection.context.closed:
        connection.downstream_data(b"GET / HTTP/1.1\r\n\r\n")
        answer_calls(connection.vm)
    if connection.goes_on:
        connection.upstream_data(b"HTTP/1.1 200 OK\r\n\r\n", end_of_stream=True)
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
_RESPONSE = {"content-type": "application/json", "server": "envoy", "date": "Sat, 28 Nov 2026 10:00:00 GMT"}
_PIECES = [b'{"name": ', b'"value"}']


def exchange(vm: Vm, headers: Headers = (), body: Iterable[bytes] = (), trailers: Headers | None = None) -> None:
    """Sends a request through the filter and answers it, if the filter lets it; a response has the same body and trailers."""
    made = vm.exchange()
    made.request([*_REQUEST.items(), *pairs(headers)], body, trailers)
    answer_calls(vm)
    if made.upstream.headers is not None and made.local_response is None and not made.was_reset:
        made.respond(200, _RESPONSE, body, trailers)
        answer_calls(vm)
    made.close()


def _exchange_many(vm: Vm) -> None:
    for _ in range(3):
        for body, trailers in (([], None), (_PIECES, None), (_PIECES, {"x-checksum": "1"})):
            exchange(vm, (), body, trailers)
    # A request without an authority is logged, and nothing else.
    vm.exchange().close()


def train(module: bytes, configuration: bytes = b"") -> Iterator[bytes]:
    """Yields the memory of a VM that has had connections, or requests, with this configuration of the plugin."""
    vm = start(module)
    vm.start(configuration=configuration)
    configured(vm)
    of_http = any(name.startswith(("proxy_on_request_", "proxy_on_response_")) for name in vm.exports)
    if of_http:
        _exchange_many(vm)
    if not of_http or "proxy_on_new_connection" in vm.exports:
        for source in SOURCES:
            _use(vm.connection(source=source, early_data=True))
        open_many(vm, SOURCES)
    vm.tick()
    answer_calls(vm)
    yield vm.memory
