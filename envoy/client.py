"""Connections as clients make them: from any loopback address, or behind a PROXY header."""

from __future__ import annotations

import ipaddress
import select
import socket

TIMEOUT_SECONDS = 10.0


def ask(
    address: tuple[str, int] | str, source: str | None = None, header: bytes = b"", timeout: float = TIMEOUT_SECONDS
) -> tuple[str, str]:
    """Connects and returns the router's name and the client's own `address:port`.

    `address` is a host and port, or a Unix socket's path; `source` is the address to bind; `header` is sent first. The name is empty
    where the connection was closed without one.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(timeout)
        if source:
            connection.bind((source, 0))
        connection.connect(address)
        local = connection.getsockname()
        try:
            connection.sendall(header + b"\n")
            name = connection.makefile("rb").readline().decode().strip()
        except ConnectionError:
            name = ""
    if isinstance(address, str):
        return name, ""
    return name, join(local[0], local[1])


class Held:
    """A connection that stays open, to a backend that says its name and then echoes (tests/load/echo.py).

    `name` is the backend's, empty where the connection was closed without one. Raises OSError if it cannot connect.
    """

    def __init__(self, address: tuple[str, int], source: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self.source = source
        self._socket = socket.socket()
        self._socket.settimeout(timeout)
        try:
            self._socket.bind((source, 0))
            self._socket.connect(address)
            self.name = self._greeting()
        except BaseException:
            self._socket.close()
            raise

    def _greeting(self) -> str:
        try:
            return self._socket.recv(100).decode().strip()
        except ConnectionError:
            return ""

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def echoes(self) -> bool:
        """Tells whether a byte goes through to the backend and comes back."""
        try:
            self._socket.sendall(b".")
            return self._socket.recv(1) == b"."
        except OSError:
            return False

    def is_quiet(self) -> bool:
        """Tells whether the connection is open, with nothing to read: no end, no reset, no byte."""
        return not select.select([self._socket], [], [], 0)[0]

    def close(self) -> None:
        """Closes the connection, as a client does."""
        self._socket.close()


def has_ipv6() -> bool:
    """Tells whether this machine has the loopback address [::1]."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def join(host: str, port: int) -> str:
    """Returns an address and port as Envoy writes them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def proxy_header(source: str, port: int = 40000) -> bytes:
    """Returns a PROXY header (version 1) that claims this source address."""
    address = ipaddress.ip_address(source)
    destination = "192.0.2.1" if address.version == 4 else "2001:db8::1"
    return f"PROXY TCP{address.version} {source} {destination} {port} 10000\r\n".encode()
