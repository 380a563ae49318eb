"""`pytest --envoy`: the fixture `vm` is a real Envoy, with the built module in it, and stand-ins before and behind it.

What a test asks of it and a real Envoy does not show raises `NotShownError`, which pytest takes for a test that is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from command import proxy, staged
from command.envoy_client import Client
from command.envoy_host import EnvoyContext, EnvoyHost
from command.envoy_session import LONGEST_WAIT_SECONDS, ROOT, Session
from command.envoy_streams import EnvoyConnection, EnvoyExchange
from command.not_shown import NotShownError
from command.stand_ins import Stream
from envoy.discovery import Listeners
from envoy.process import Envoy
from proxy_wasm.testing.attributes import Properties
from proxy_wasm.testing.header_maps import pairs
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import Pairs

if TYPE_CHECKING:
    from proxy_wasm._maps import Headers

_GRPC_HEADERS = [(b":status", b"200"), (b"content-type", b"application/grpc")]
_UPDATES = "listener_manager.lds.update_"


class EnvoyVm(Vm):
    """The plugin in an Envoy with one worker."""

    def __init__(self, envoy: Envoy, stage: staged.Stage, listeners: Listeners) -> None:
        self._session = Session(envoy, stage)
        self._listeners = listeners
        self._published = 1
        super().__init__(EnvoyHost(self._session))
        self.root = EnvoyContext(self._session, lambda: ROOT)

    def close(self) -> None:
        """Lets go of all connections."""
        self._session.close()

    def _client(self, kind: str, what: str, properties: Properties | None, source: str | bytes | None) -> Client:
        listener = self._session.stage.listener_of(kind)
        if listener is None:
            raise NotShownError(what, f"envoy.yaml has no listener with envoy.filters.{kind}.wasm")
        self._session.clients.append(Client(self._session.envoy.listeners[listener], what, properties or {}, source))
        return self._session.clients[-1]

    # ---- what a test calls

    def _call(self, callback: str, *arguments: int) -> NoReturn:
        raise NotShownError(callback, "a test cannot make a real Envoy do that")

    def start(self, vm_configuration: bytes = b"", configuration: bytes = b"", root_id: bytes = b"") -> bool:
        """Is skipped: Envoy has started the plugin."""
        raise NotShownError("vm.start()", "Envoy has started the plugin with what envoy.yaml says")

    def configure(self, configuration: bytes = b"") -> bool:
        """Gives Envoy the listeners with another configuration; tells whether it takes them."""
        before = self._updates("rejected")
        for _, config in proxy.plugins(self._listeners.made):
            config["configuration"] = {"@type": proxy.TEXT, "value": configuration.decode()}
        self._listeners.put()
        self._published += 1
        self._session.wait(
            lambda: self._updates("success") + self._updates("rejected") >= self._published, "vm.configure()"
        )
        return self._updates("rejected") == before

    def _updates(self, how: str) -> int:
        return self._session.envoy.counter(_UPDATES + how)

    def connection(
        self, properties: Properties | None = None, source: str | bytes | None = None, early_data: bool = False
    ) -> EnvoyConnection:
        """Makes a client of the plugin's listener, who connects in `new_connection`."""
        if early_data:
            raise NotShownError("vm.connection(early_data=True)")
        return EnvoyConnection(self, self._session, self._client("network", "vm.connection()", properties, source))

    def exchange(self, properties: Properties | None = None, source: str | bytes | None = None) -> EnvoyExchange:
        """Makes a client of the plugin's listener, who has a connection of its own."""
        return EnvoyExchange(self, self._session, self._client("http", "vm.exchange()", properties, source))

    def tick(self) -> None:
        """Waits for the next tick of the worker's plugin."""
        period = self.host.tick_periods.get(ROOT, 0)
        if not 0 < period < LONGEST_WAIT_SECONDS * 1000:
            raise NotShownError("vm.tick()", f"the filter's period is {period} ms, and no test can make it pass")
        mark = len(self._session.trace.callbacks)
        self._session.wait(lambda: bool(self._session.since(mark, "proxy_on_tick")), "vm.tick()")

    def http_call_response(
        self, call: int, headers: Headers = (), body: bytes | str = b"", trailers: Headers = ()
    ) -> None:
        """Answers an HTTP call as the server that was called."""
        if not headers:
            raise NotShownError("vm.http_call_response() without headers")
        given, end = pairs(headers), pairs(trailers)
        data = body.encode() if isinstance(body, str) else body
        if not any(name == b":status" for name, _ in given):
            given.insert(0, (b":status", b"200"))
        stream = self._stream(call)
        stream.headers(given, not data and not end)
        if data:
            stream.data(data, not end)
        if end:
            stream.headers(end, True)
        self._session.settle()

    def http_call_failure(self, call: int, status: int = 503) -> None:
        """Lets an HTTP call fail: 503 closes its connection, 504 waits for its timeout."""
        stream = self._stream(call)
        mark = len(self._session.trace.callbacks)
        if status == 503:
            stream.http.peer.socket.close()
        elif status != 504 or self.host.http_calls[call].timeout_milliseconds > LONGEST_WAIT_SECONDS * 1000:
            raise NotShownError(f"vm.http_call_failure(status={status})")
        self._session.wait(
            lambda: bool(self._session.since(mark, "proxy_on_http_call_response")), "vm.http_call_failure()"
        )

    def grpc_receive(self, call: int, message: bytes) -> None:
        """Answers a gRPC call, or sends a message on a gRPC stream."""
        stream, unary = self._stream(call), self.host.grpc_calls[call].unary
        if not stream.answered:
            stream.headers(_GRPC_HEADERS, False)
        stream.data(b"\0" + len(message).to_bytes(4, "big") + message, False)
        if unary:
            stream.headers([(b"grpc-status", b"0")], True)
        self._session.settle()

    def grpc_metadata(self, call: int, pairs: Pairs, trailing: bool = False) -> None:
        """Sends the first metadata of a gRPC stream."""
        if trailing:
            raise NotShownError("vm.grpc_metadata(trailing=True)")
        self._stream(call).headers([*_GRPC_HEADERS, *pairs], False)
        self._session.settle()

    def grpc_close(self, call: int, status: int, message: bytes = b"") -> None:
        """Ends a gRPC stream, or a call that failed."""
        stream = self._stream(call)
        end = [(b"grpc-status", b"%d" % status), *([(b"grpc-message", message)] if message else [])]
        first = [] if stream.answered else _GRPC_HEADERS
        stream.headers([*first, *end], True)
        self._session.settle()

    def _stream(self, call: int) -> Stream:
        made = self.host.grpc_calls.get(call) or self.host.http_calls[call]
        return made.stream  # type: ignore[union-attr,no-any-return]
