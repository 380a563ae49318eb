"""Stand-ins for the servers behind a real Envoy, and a client before it. Nothing here runs by itself: `pump` looks at what has come.

They speak HTTP/2, whose parts come as the test sends them. A server takes plain TCP as well: HTTP/2 begins with a preface.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError, StreamClosedError

from proxy_wasm.testing.exchange import Message
from proxy_wasm.testing.records import Pairs

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Peer:
    """The other end of one of Envoy's TCP connections."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        # What is sent is there at once, and no test waits for an acknowledgement.
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self.name: tuple[str, int] = connected.getsockname()[:2]
        self.received = b""
        self.ended = self.gone = False

    def pump(self) -> bool:
        """Reads what has come, and tells whether something has."""
        before = len(self.received), self.ended, self.gone
        with contextlib.suppress(BlockingIOError):
            while not (self.ended or self.gone):
                try:
                    data = self.socket.recv(1 << 16)
                except ConnectionError:
                    self.gone = True
                    break
                self.received += data
                self.ended = not data
        return before != (len(self.received), self.ended, self.gone)

    def send(self, data: bytes) -> None:
        """Sends bytes, if there is anybody left to take them."""
        self.socket.settimeout(10)
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)
        self.socket.setblocking(False)

    def end(self) -> None:
        """Says that no more is sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)


@dataclass
class Stream:
    """A stream of HTTP/2: what Envoy sent on it."""

    http: Http
    number: int
    got: Message = field(default_factory=Message)
    reset: bool = False
    answered: bool = False

    def headers(self, headers: Pairs, end_of_stream: bool) -> None:
        """Sends headers, or trailers after a body."""
        self.answered = True
        self.http.do(lambda made: made.send_headers(self.number, headers, end_of_stream))

    def data(self, data: bytes, end_of_stream: bool) -> None:
        """Sends a part of a body, in frames that Envoy takes."""
        size = self.http.made.max_outbound_frame_size
        for at in range(0, max(len(data), 1), size):
            piece, last = data[at : at + size], at + size >= len(data)
            self.http.do(
                lambda made, piece=piece, last=last: made.send_data(self.number, piece, last and end_of_stream)  # type: ignore[misc]
            )

    def abort(self) -> None:
        """Resets the stream."""
        self.http.do(lambda made: made.reset_stream(self.number))


class Http:
    """One end of an HTTP/2 connection."""

    def __init__(self, peer: Peer, client: bool) -> None:
        self.peer = peer
        self.made = H2Connection(
            H2Configuration(
                client,
                header_encoding=None,
                validate_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.streams: dict[int, Stream] = {}
        self._read = 0
        self.made.initiate_connection()
        self._flush()

    def open(self) -> Stream:
        """Begins a stream."""
        number = self.made.get_next_available_stream_id()
        return self.streams.setdefault(number, Stream(self, number))

    def do(self, deed: Callable[[H2Connection], object]) -> None:
        """Does something with the connection; what comes too late for Envoy is left out."""
        with contextlib.suppress(StreamClosedError):
            deed(self.made)
        self._flush()

    def pump(self) -> bool:
        """Reads what has come, and tells whether something has."""
        changed = self.peer.pump()
        new, self._read = self.peer.received[self._read :], len(self.peer.received)
        if new:
            with contextlib.suppress(ProtocolError):
                for event in self.made.receive_data(new):
                    self._take(event)
            self._flush()
        return changed

    def _flush(self) -> None:
        if data := self.made.data_to_send():
            self.peer.send(data)

    def _take(self, event: Event) -> None:
        number = getattr(event, "stream_id", None)
        if not number:
            return
        stream = self.streams.setdefault(number, Stream(self, number))
        match event:
            case RequestReceived() | ResponseReceived():
                stream.got.headers = _pairs(event.headers)
            case TrailersReceived():
                stream.got.trailers = _pairs(event.headers)
            case DataReceived():
                stream.got.body += event.data
                self.made.acknowledge_received_data(event.flow_controlled_length, number)
            case StreamEnded():
                stream.got.ended = True
            case StreamReset():
                stream.reset = True


class Server:
    """A server of a cluster."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.setblocking(False)
        self._new: list[Peer] = []
        self.connections: list[Peer] = []
        """Its plain connections, and those that have not said yet what they are."""

        self._http: list[Http] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self.listening.getsockname()[1]
        return port

    @property
    def streams(self) -> list[Stream]:
        """The requests that have come so far."""
        return [stream for http in self._http for stream in http.streams.values() if stream.got.headers is not None]

    def pump(self) -> bool:
        """Accepts and reads what has come, and tells whether something has."""
        changed = False
        with contextlib.suppress(BlockingIOError):
            while True:
                self._new.append(Peer(self.listening.accept()[0]))
                self.connections.append(self._new[-1])
                changed = True
        for peer in list(self._new):
            changed |= peer.pump()
            is_http = peer.received.startswith(_PREFACE)
            if is_http:
                self.connections.remove(peer)
                self._http.append(Http(peer, client=False))
            if is_http or not _PREFACE.startswith(peer.received):
                self._new.remove(peer)
        for http in self._http:
            changed |= http.pump()
        for peer in self.connections:
            changed |= peer.pump()
        return changed

    def close(self) -> None:
        """Closes all that is open."""
        self.listening.close()
        for peer in (*self._new, *self.connections, *(http.peer for http in self._http)):
            peer.socket.close()


def _pairs(headers: object) -> Pairs:
    assert isinstance(headers, list)
    return [(bytes(name), bytes(value)) for name, value in headers]
