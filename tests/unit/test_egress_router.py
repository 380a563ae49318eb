"""What the egress router answers, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from egress_router.server import EgressRouter


def serve(client: Any) -> Any:
    """Runs a router, and the client, a coroutine function of its port, beside it."""

    async def both() -> Any:
        server = await EgressRouter("egress-router1").start("127.0.0.1", 0)
        async with server:
            running: Coroutine[Any, Any, Any] = client(server.sockets[0].getsockname()[1])
            return await asyncio.wait_for(running, 60)

    return asyncio.run(both())


def talk(sent: bytes | None, end: bool = False) -> bytes:
    async def client(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if sent:
            writer.write(sent)
        if end:
            writer.write_eof()
        received = await reader.read()
        writer.close()
        await writer.wait_closed()
        return received

    received: bytes = serve(client)
    return received


def test_ip_answers_with_origin_and_router() -> None:
    head, _, body = talk(b"GET /ip HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body) == {"origin": "127.0.0.1", "router": "egress-router1"}


def test_ip_prefers_the_forwarded_address() -> None:
    assert b'"origin": "192.0.2.7"' in talk(b"GET /ip HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /health HTTP/1.1", b"200 OK"),
        (b"GET /elsewhere HTTP/1.1", b"404 Not Found"),
        (b"POST /ip HTTP/1.1", b"405 Method Not Allowed"),
        (b"GET /ip", b"400 Bad Request"),
        (b"GET /ip HTTP/1.1\r\nno header", b"400 Bad Request"),
    ],
)
def test_every_request_has_its_status(request_line: bytes, status: bytes) -> None:
    assert talk(request_line + b"\r\n\r\n").startswith(b"HTTP/1.1 " + status + b"\r\n")


@pytest.mark.parametrize(
    ("sent", "end"), [(None, False), (None, True), (b"\n", False), (b"\x16\x03\x01\n", False), (b"x" * 99999, True)]
)
def test_a_client_that_speaks_no_http_gets_the_name(sent: bytes | None, end: bool) -> None:
    assert talk(sent, end) == b"egress-router1\n"


def test_it_stops_without_a_word_while_clients_are_connected() -> None:
    command = [sys.executable, "-S", "-m", "egress_router", "--name", "egress-router1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as router:
        assert router.stdout is not None
        port = int(router.stdout.readline().split()[-1])
        # The first one's request never ends; the second one's answer is a proof that the first one is being served.
        with (
            socket.create_connection(("127.0.0.1", port)) as silent,
            socket.create_connection(("127.0.0.1", port)) as served,
        ):
            silent.sendall(b"GET /ip HTTP/1.1\r\nHost: x\r\n")
            served.sendall(b"\n")
            assert served.recv(64) == b"egress-router1\n"
            router.send_signal(signal.SIGTERM)
            _, errors = router.communicate(timeout=10)
    assert (router.returncode, errors) == (0, "")


def test_ten_thousand_connections_leave_no_descriptor_open() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async def client(port: int) -> tuple[int, int]:
        before = descriptors()
        for i in range(10_000):
            connection = socket.socket()
            connection.setblocking(False)
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            if i % 3 == 0:  # gone before the answer, by a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                connection.send(b"\n")
                assert await asyncio.get_running_loop().sock_recv(connection, 64) == b"egress-router1\n"
            connection.close()
        for _ in range(100):
            if descriptors() <= before:
                break
            await asyncio.sleep(0.05)
        return before, descriptors()

    before, after = serve(client)
    assert after <= before


def test_a_client_that_resets_while_it_is_answered_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def client(port: int) -> list[dict[str, Any]]:
        loop = asyncio.get_running_loop()
        reported: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: reported.append(context))
        connection = socket.socket()
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        def reset(writer: asyncio.StreamWriter) -> bool:
            connection.close()
            return True

        # The one moment at which no read or write is under way that would tell of the reset.
        monkeypatch.setattr(asyncio.StreamWriter, "can_write_eof", reset)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        connection.send(b"\n")
        for _ in range(600):
            if connection.fileno() < 0:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)
        return reported

    assert serve(client) == []
