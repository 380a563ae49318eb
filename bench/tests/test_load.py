"""One connection of the load: how long its first byte takes, and what is said if none comes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from bench import load

Listen = Callable[[bytes], tuple[str, int]]


@pytest.fixture
def clients() -> list[str]:
    return []


@pytest.fixture
def listen(clients: list[str]) -> Iterator[Listen]:
    """Returns a function that starts a server for one client, which is sent something and then the end."""
    servers: list[threading.Thread] = []

    def started(reply: bytes) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            with listener, listener.accept()[0] as client:
                clients.append(client.getpeername()[0])
                client.sendall(reply)

        servers.append(threading.Thread(target=serve))
        servers[-1].start()
        address: tuple[str, int] = listener.getsockname()
        return address

    yield started
    for server in servers:
        server.join()


@pytest.mark.parametrize("source", ["", "127.22.0.10"])
def test_a_connection_is_timed_to_its_first_byte(listen: Listen, clients: list[str], source: str) -> None:
    assert 0 < load.first_byte(listen(b"ab"), 10, source) < 10
    assert clients == [source or "127.0.0.1"]


def test_a_connection_without_a_reply_names_its_port(listen: Listen) -> None:
    address = listen(b"")
    with pytest.raises(load.LoadError, match=f"a connection to port {address[1]}: closed without a reply"):
        load.first_byte(address, 10)
    with pytest.raises(load.LoadError, match=f"a connection to port {address[1]}: .*refused"):
        load.first_byte(address, 10)
