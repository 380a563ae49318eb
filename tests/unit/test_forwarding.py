"""A router that forwards: to where the header says, each way to its own end, and with nothing left behind."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from egress_router.forwarding import Forwarder
from egress_router.server import EgressRouter

LOOPBACK_ALLOWED = ["192.0.2.0/24"]


class Echo(asyncio.Protocol):
    """Gives back what came, and says so at the end: a half-closed connection is still answered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def eof_received(self) -> None:
        self.transport.write(b"end")

    # As a stream does: who does not read what comes back is not read from.
    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()


def serve(client: Any, log: list[str] | None = None, forbidden: list[str] | None = None) -> Any:
    """Runs an echo server, a router in front of it, and the client, a coroutine function of their ports."""

    async def both() -> Any:
        forwarder = Forwarder(forbidden or LOOPBACK_ALLOWED, (log if log is not None else []).append)
        server = await EgressRouter("egress-router1", forwarder=forwarder).start("127.0.0.1", 0)
        far = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, backlog=4096)
        async with server, far:
            running: Coroutine[Any, Any, Any] = client(*(s.sockets[0].getsockname()[1] for s in (server, far)))
            return await asyncio.wait_for(running, 120)

    return asyncio.run(both())


def header(port: int, host: str = "127.0.0.1") -> bytes:
    return f"PROXY TCP4 10.244.0.10 {host} 4000 {port}\r\n".encode()


def test_bytes_come_back_and_half_a_connection_lives_on() -> None:
    log: list[str] = []
    sent = bytes(range(256)) * 8192

    async def client(port: int, far: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(header(far) + sent)
        writer.write_eof()
        received = await reader.read()
        writer.close()
        assert log == [f"forwards 10.244.0.10:4000 to 127.0.0.1:{far}"]
        return received

    assert serve(client, log) == sent + b"end"


def test_a_slow_reader_fills_no_memory() -> None:
    async def client(port: int, far: int) -> int:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, header(far))
        sent = 0
        # Nothing is read: what can be sent is what sockets and the router hold, and no more.
        with pytest.raises(TimeoutError):
            while sent < 200 << 20:
                await asyncio.wait_for(loop.sock_sendall(connection, bytes(1 << 20)), 1)
                sent += 1 << 20
        connection.close()
        return sent

    assert serve(client) < 100 << 20


@pytest.mark.parametrize("host", ["127.0.0.2", "169.254.169.254", "0.0.0.0"])
def test_some_addresses_are_for_nobody(host: str) -> None:
    log: list[str] = []

    async def client(port: int, far: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(header(80, host))
        received = await reader.read()
        writer.close()
        return received

    async def standard(port: int, far: int) -> bytes:
        assert not Forwarder().allows(host)
        return await client(port, far)

    assert serve(standard, log, [f"{host}/32"]) == b""
    assert log == [f"refused 10.244.0.10:4000 to {host}:80: the address is forbidden"]


def test_which_addresses_are_forbidden() -> None:
    forwarder = Forwarder()
    for host in ("::1", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "fe80::1", "ff02::1", "255.255.255.255"):
        assert not forwarder.allows(host)
    assert (
        forwarder.allows("203.0.113.80")
        and forwarder.allows("2001:db8::80")
        and forwarder.allows("::ffff:203.0.113.80")
    )
    with pytest.raises(ValueError, match="host bits"):
        Forwarder(["10.0.0.1/8"])


def test_a_destination_that_does_not_answer_is_told() -> None:
    log: list[str] = []

    async def client(port: int, far: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(header(1))
        received = await reader.read()
        writer.close()
        return received

    assert serve(client, log) == b""
    assert log[0].startswith("cannot forward 10.244.0.10:4000 to 127.0.0.1:1: ")


def test_without_a_destination_the_router_answers_itself_and_without_a_header_nobody_does() -> None:
    async def client(port: int, far: int) -> list[bytes]:
        answers = []
        for sent in (b"PROXY UNKNOWN\r\n", b"GET /ip HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            answers.append(await reader.read())
            writer.close()
        return answers

    assert serve(client) == [b"egress-router1\n", b""]


def test_ten_thousand_connections_leave_no_descriptor_open(record_property: Any) -> None:
    """A third is closed by the client, a third in halves, a third reset."""
    connections, together = 10_000, 100
    reset = struct.pack("ii", 1, 0)

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def one(number: int, port: int, far: int) -> int:
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, ("127.0.0.1", port))
            connection.send(header(far) + b"hello")
            assert await loop.sock_recv(connection, 64) == b"hello"
            if number % 3 == 1:
                connection.shutdown(socket.SHUT_WR)
                assert await loop.sock_recv(connection, 64) == b"end"
                assert await loop.sock_recv(connection, 64) == b""
            elif number % 3 == 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        return 1

    async def client(port: int, far: int) -> tuple[int, int, int]:
        before, served = descriptors(), 0
        for at in range(0, connections, together):
            served += sum(await asyncio.gather(*(one(at + i, port, far) for i in range(together))))
        for _ in range(100):
            if descriptors() <= before:
                break
            await asyncio.sleep(0.05)
        return served, before, descriptors()

    served, before, after = serve(client)
    record_property("connections", served)
    assert served == connections
    assert after <= before
