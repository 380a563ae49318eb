"""What runs in the other pods: servers that say who answered, on which port and to whom, in any namespace, in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.mesh.namespaces import Namespace

TIMEOUT_SECONDS = 5.0
Result = TypeVar("Result")
_ANSWER = re.compile(rb"<(\S+) (\d+) (\S+?)>")


@dataclass(frozen=True)
class Answer:
    """Who answered a client: the server's name, its port, and the address that it saw."""

    server: str
    port: int
    peer: str


class Greeter(asyncio.Protocol):
    """A server that speaks first, and then echoes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._begin()

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def abort(self) -> None:
        """Ends the connection at once."""
        self._transport.abort()

    def _begin(self) -> None:
        self._transport.write(self._answer())

    def _answer(self) -> bytes:
        port = self._transport.get_extra_info("sockname")[1]
        peer = self._transport.get_extra_info("peername")[0]
        return f"<{self._name} {port} {peer}>\n".encode()


class Web(Greeter):
    """A server of HTTP: the client speaks first."""

    def data_received(self, data: bytes) -> None:
        body = self._answer()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _begin(self) -> None:
        pass


class Backends:
    """The servers, all in a thread of their own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._servers: list[asyncio.Server] = []
        self._connections: weakref.WeakSet[Greeter] = weakref.WeakSet()

    def listen(
        self, namespace: Namespace, host: str, ports: list[int], name: str, kind: Callable[[str], Greeter] = Greeter
    ) -> None:
        """Starts a server."""

        def connection() -> Greeter:
            made = kind(name)
            self._connections.add(made)
            return made

        for port in ports:
            with namespace.entered():
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                listening = socket.create_server((host, port), family=family, backlog=1024)
            self._servers.append(self._do(self._loop.create_server(connection, sock=listening)))

    def close(self) -> None:
        """Stops the servers and ends their connections."""

        async def close() -> None:
            for server in self._servers:
                server.close()
            for connection in list(self._connections):
                connection.abort()

        self._do(close())

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_SECONDS)


@contextlib.contextmanager
def run() -> Iterator[Backends]:
    """Gives servers that can be started until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    servers = Backends(loop)
    try:
        yield servers
    finally:
        servers.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT_SECONDS)
        loop.close()


def connect(namespace: Namespace, host: str, port: int, timeout: float = TIMEOUT_SECONDS) -> socket.socket:
    """Connects from a namespace; raises OSError if it cannot."""
    with namespace.entered():
        return socket.create_connection((host, port), timeout)


def ask(namespace: Namespace, host: str, port: int, send: bytes = b"") -> Answer | None:
    """Connects, sends something and returns the answer, or None if the connection was closed without one."""
    received = b""
    try:
        with connect(namespace, host, port) as connection:
            if send:
                connection.sendall(send)
            while not (found := _ANSWER.search(received)):
                more = connection.recv(4096)
                if not more:
                    return None
                received += more
    except ConnectionError:
        return None
    return Answer(found[1].decode(), int(found[2]), found[3].decode())


HTTP = b"GET /ip HTTP/1.1\r\nHost: httpbin.org\r\n\r\n"


def client_hello(server_name: str) -> bytes:
    """Returns the first bytes of a TLS client that asks for this name."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
