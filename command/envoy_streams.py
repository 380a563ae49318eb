"""A connection and a request through a real Envoy, as the fixture `vm` of `pytest --envoy` gives them to a test."""

from __future__ import annotations

from typing import Any

from command import staged
from command.envoy_client import Client
from command.envoy_host import EnvoyContext
from command.envoy_session import Session
from command.not_shown import NotShownError
from command.stand_ins import Peer, Stream
from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.driver import expect
from proxy_wasm.testing.exchange import Exchange, Message
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import DOWNSTREAM_DATA, LOCAL, REMOTE, REQUEST, RESPONSE, LocalResponse, Pairs

_OF_REQUEST = (b"x-forwarded-proto", staged.MARK.encode())
_OF_RESPONSE = (b"date", b"server")
"""What Envoy gives to each message by itself."""


class EnvoyConnection(Connection):
    """A connection through a real Envoy."""

    def __init__(self, vm: Vm, session: Session, client: Client) -> None:
        super().__init__(vm, EnvoyContext(session, self._number))
        self._session, self._client = session, client
        self._id = 0
        self._server: tuple[str, Peer] | None = None

    def _number(self) -> int:
        if not self._id:
            raise NotShownError("connection.context before new_connection()")
        return self._id

    @property
    def cluster(self) -> str | None:
        """The cluster that the filter chose; None if it left that to `tcp_proxy`."""
        self._session.settle()
        peer = self._client.peer
        if peer is None or not (self._upstream() or peer.ended or peer.gone):
            raise NotShownError("connection.cluster of a connection that waits")
        self._session.wait(lambda: bool(self._session.stage.logged(self._client.name)), "connection.cluster")
        chosen = self._session.stage.logged(self._client.name)[-1]["cluster"]
        return None if chosen in (None, "-") else str(chosen)

    def new_connection(self) -> int:
        """Connects; returns what the filter answered."""
        expect(not self._told, "a filter is told of a connection once")
        self._told = True
        mark = len(self._session.trace.callbacks)
        self._client.connect()
        self._session.settle()
        self._id = _context(self._session, mark)
        return self._acted(self._answer(mark, "proxy_on_new_connection"))

    def upstream_data(self, data: bytes, end_of_stream: bool = False) -> int:
        """Sends bytes as the upstream server; returns what the filter answered."""
        self._expect_open()
        expect(self.goes_on, "there is no upstream server before the filter lets the connection go on")
        return self._data("proxy_on_upstream_data", -1, data, end_of_stream)

    def _data(self, callback: str, buffer: int, data: bytes, end_of_stream: bool) -> int:
        expect(buffer not in self._ends, "there was an end of stream, after which no data comes")
        if end_of_stream:
            self._ends.add(buffer)
        peer = self._client.peer
        if buffer != DOWNSTREAM_DATA:
            found = self._upstream()
            if found is None:
                raise NotShownError(
                    "connection.upstream_data()", "Envoy has not connected to any cluster of envoy.yaml"
                )
            peer = found[1]
        assert peer is not None
        mark = len(self._session.trace.callbacks)
        peer.send(data)
        if end_of_stream:
            peer.end()
        self._session.settle()
        return self._acted(self._answer(mark, callback))

    def _answer(self, mark: int, callback: str) -> int | None:
        made = [one.result for one in self._session.since(mark, callback) if one.arguments[0] == self._id]
        return made[-1] if made else None

    def _upstream(self) -> tuple[str, Peer] | None:
        """Returns the cluster that Envoy connected to, and the connection there."""
        if self._server is None:
            self._server = self._session.claim()
        return self._server

    def close(self, peer: int | None = None) -> None:
        """The client leaves, if Envoy has not ended the connection."""
        expect(not self._over, "the connection has ended")
        if peer == LOCAL and not self.context.closed:
            raise NotShownError("connection.close(LOCAL)", "a test cannot make Envoy end a connection")
        expect(
            self.is_read or peer != REMOTE or bool(self.context.closed),
            "Envoy does not notice that a client leaves while its connection is paused in on_new_connection",
        )
        self._over = True
        self._client.close()
        self._session.settle()


class EnvoyExchange(Exchange):
    """A request and its response through a real Envoy. What Envoy adds to each message by itself is left out."""

    def __init__(self, vm: Vm, session: Session, client: Client) -> None:
        vars(self).update(vm=vm, context=EnvoyContext(session, self._number))
        self._session, self._client = session, client
        self._stream: Stream | None = None
        self._id = 0
        self._over = False

    def _number(self) -> int:
        if not self._id:
            raise NotShownError("exchange.context before request()")
        return self._id

    def __getattr__(self, name: str) -> Any:
        if name == "local_response":
            return self._local_response()
        if name == "was_reset":
            self._session.settle()
            return self._stream is not None and self._stream.reset
        raise AttributeError(name)

    @property
    def upstream(self) -> Message:
        """What the upstream server got of the request; no headers if the filter held it back."""
        found = self._server()
        return Message() if found is None else _without(found.got, _OF_REQUEST)

    @property
    def downstream(self) -> Message:
        """What the client got of the response."""
        self._session.settle()
        return Message() if self._stream is None else _without(self._stream.got, _OF_RESPONSE)

    def _local_response(self) -> LocalResponse | None:
        self._session.settle()
        made = self._session.trace.of_context(self._id, "proxy_send_local_response")
        if not made:
            return None
        self._session.wait(lambda: bool(self._session.stage.logged(self._client.name)), "exchange.local_response")
        details = self._session.stage.logged(self._client.name)[-1]["details"] or ""
        status, grpc_status = made[0].arguments[0], made[0].arguments[-1]
        own = (b":status", b"content-length", b"content-type", b"grpc-status")
        headers = [pair for pair in self.downstream.headers or [] if pair[0] not in own]
        return LocalResponse(status, details.encode(), self.downstream.body, headers, grpc_status)

    def _server(self) -> Stream | None:
        self._session.settle()
        if self._client.peer is None:
            return None
        mine = self._client.name.encode()
        streams = (stream for server in self._session.stage.servers.values() for stream in server.streams)
        return next((stream for stream in streams if stream.got.header(staged.MARK) == mine), None)

    def _side(self, side: int) -> Stream:
        found = self._stream if side == REQUEST else self._server()
        expect(found is not None, "there are no headers yet")
        assert found is not None
        return found

    def headers(self, side: int, headers: Pairs, end_of_stream: bool) -> None:
        """Sends the headers of a side, REQUEST or RESPONSE."""
        if side == RESPONSE:
            self._side(side).headers(headers, end_of_stream)
            self._session.settle()
            return
        expect(self._stream is None, "the request has its headers")
        self._client.connect(http=True)
        self._session.settle()
        assert self._client.http is not None
        mark = len(self._session.trace.callbacks)
        self._stream = self._client.http.open()
        self._stream.headers(headers, end_of_stream)
        self._session.settle()
        self._id = _context(self._session, mark)

    def data(self, side: int, data: bytes, end_of_stream: bool = False) -> None:
        """Sends a part of the body."""
        self._side(side).data(data, end_of_stream)
        self._session.settle()

    def trailers(self, side: int, trailers: Pairs) -> None:
        """Sends the trailers, after which nothing comes."""
        self._side(side).headers(trailers, True)
        self._session.settle()

    def close(self) -> None:
        """Ends the request: the client leaves."""
        expect(not self._over, "the request has ended")
        self._over = True
        self._client.close()
        self._session.settle()


def _context(session: Session, mark: int) -> int:
    """Returns the context that Envoy made since then."""
    made = [one.arguments[0] for one in session.since(mark, "proxy_on_context_create") if one.arguments[1]]
    if not made:
        raise NotShownError("context_id", "Envoy did not come to the filter")
    return made[-1]


def _without(message: Message, names: tuple[bytes, ...]) -> Message:
    if message.headers is None:
        return message
    kept = [pair for pair in message.headers if pair[0] not in names]
    return Message(kept, message.body, message.trailers, message.ended)
