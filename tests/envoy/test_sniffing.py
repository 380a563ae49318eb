"""The first bytes choose the cluster (guests/sniffing.py): TLS, HTTP, SSH, in one segment or several, and servers that speak first."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoy import configuration, process, routers
from envoy.configuration import MAIN
from tests.envoy.conftest import ROUTERS, wait_for

MODULE = Path("tests/envoy/guests/sniffing.wasm").absolute()
PROTOCOLS = ["tls", "http", "ssh"]
DEFAULT = ROUTERS[0]
# Beside the main listener, which has early data and lets a client take its time.
HASTY, LATE, HASTY_AND_LATE = "time-out", "no early data", "time-out, no early data"
GO_ON_SECONDS, LONG_SECONDS = 0.3, 60
"""How long the filter waits for bytes: in a listener with a time-out, and in the others."""


def client_hello() -> bytes:
    """Returns what a TLS client says first."""
    to_send = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), to_send, server_hostname="example.com")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return to_send.read()


FIRST = {
    "tls": client_hello(),
    "http": b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1\r\n",
}


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[process.Envoy]:
    work = tmp_path_factory.mktemp("envoy")
    # The routers say their names as soon as they are connected to, then echo: servers that speak first.
    with routers.run([*ROUTERS, *PROTOCOLS], "tests.load.echo") as ports:
        made = configuration.for_loopback(MODULE, {name: ports[name] for name in ROUTERS}, work / "access.log")
        for name in PROTOCOLS:
            configuration.add_cluster(made, name, [ports[name]])
        made["static_resources"]["listeners"] = [configuration.listener(made, MAIN)]
        configuration.plugin(made)["configuration"]["value"] = str(LONG_SECONDS)
        configuration.add_listener(made, LATE)
        configuration.tcp_proxy(made)["max_early_data_bytes"] = 65536
        configuration.add_listener(made, HASTY)
        configuration.add_listener(made, HASTY_AND_LATE)
        del configuration.tcp_proxy(made, HASTY_AND_LATE)["max_early_data_bytes"]
        for name in (HASTY, HASTY_AND_LATE):
            configuration.plugin(made, name)["configuration"]["value"] = str(GO_ON_SECONDS)
        with process.run(made, work) as running:
            yield running


@contextlib.contextmanager
def connected(envoy: process.Envoy, listener: str = MAIN) -> Iterator[socket.socket]:
    with socket.create_connection(envoy.listeners[listener], 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def received(connection: socket.socket, size: int) -> bytes:
    return connection.makefile("rb").read(size)


def held_back(connection: socket.socket, seconds: float) -> bool:
    """Tells whether nothing comes and the connection stays open for so long."""
    connection.settimeout(seconds)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(10)
    return False


@pytest.mark.parametrize("pieces", [[], [1], [1, 3]], ids=["one segment", "two segments", "three segments"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_first_bytes_choose_the_cluster_and_none_is_lost(
    envoy: process.Envoy, protocol: str, pieces: list[int]
) -> None:
    sent = FIRST[protocol]
    with connected(envoy) as connection:
        for start, end in zip([0, *pieces], [*pieces, len(sent)], strict=True):
            connection.sendall(sent[start:end])
            time.sleep(0.03)
        expected = protocol.encode() + b"\n" + sent
        assert received(connection, len(expected)) == expected


@pytest.mark.parametrize("sent", [b"\x00\x01what is this", b"GOT /"])
def test_an_unknown_protocol_goes_to_the_default_at_once(envoy: process.Envoy, sent: bytes) -> None:
    with connected(envoy) as connection:
        connection.sendall(sent)
        expected = DEFAULT.encode() + b"\n" + sent
        assert received(connection, len(expected)) == expected


@pytest.mark.parametrize("sent", [b"", b"PO"], ids=["server speaks first", "half a word"])
def test_a_client_that_waits_goes_to_the_default_after_the_time_out(envoy: process.Envoy, sent: bytes) -> None:
    began = time.monotonic()
    with connected(envoy, HASTY) as connection:
        connection.sendall(sent)
        expected = DEFAULT.encode() + b"\n" + sent
        assert received(connection, len(expected)) == expected
        assert time.monotonic() - began > GO_ON_SECONDS
        connection.sendall(b"more")
        assert received(connection, 4) == b"more"


def test_a_client_that_ends_while_it_waits_is_let_go(envoy: process.Envoy) -> None:
    with connected(envoy) as connection:
        connection.sendall(b"PO")
        connection.shutdown(socket.SHUT_WR)
        expected = DEFAULT.encode() + b"\nPO"
        assert received(connection, len(expected)) == expected
    for _ in range(20):
        with connected(envoy):
            pass
    # The name has the port of the configuration, 0: these are all listeners.
    assert wait_for(lambda: envoy.counter("listener.127.0.0.1_0.downstream_cx_active") == 0)
    assert [line for line in envoy.log_lines() if "[error]" in line or "[critical]" in line] == []


# ---- behind tcp_proxy without max_early_data_bytes, which stops reading before any filter is asked


@pytest.mark.parametrize("sent", FIRST.values(), ids=FIRST)
def test_without_early_data_a_paused_connection_hangs(envoy: process.Envoy, sent: bytes) -> None:
    with connected(envoy, LATE) as connection:
        connection.sendall(sent)
        assert held_back(connection, 1)


def test_without_early_data_a_time_out_helps_but_the_bytes_choose_nothing(envoy: process.Envoy) -> None:
    sent = FIRST["ssh"]
    with connected(envoy, HASTY_AND_LATE) as connection:
        connection.sendall(sent)
        expected = DEFAULT.encode() + b"\n" + sent
        assert received(connection, len(expected)) == expected
