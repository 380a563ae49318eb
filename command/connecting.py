"""`proxy-wasm connect`: a connection from any source address, which a PROXY header says."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator

from toolchain.tools import ToolchainError

_SECONDS = 10.0
_SOURCE_PORT = 40000


def connect(target: str, source: str, data: bytes) -> Iterator[bytes]:
    """Connects, sends a header and the data, and yields what comes back until the other side ends; raises `ToolchainError`.

    `target` is an address with a port, such as 127.0.0.1:10000. A `source` without a port has one that is made up.
    """
    address = _read(target, None)
    begin = header(_read(source, _SOURCE_PORT), address)
    try:
        with socket.create_connection(address, timeout=_SECONDS) as connected:
            connected.sendall(begin + data)
            while received := connected.recv(1 << 16):
                yield received
    except TimeoutError:
        raise ToolchainError(
            f"{target} said nothing more for {_SECONDS:.0f} s, and the connection is open still"
        ) from None
    except ConnectionResetError:
        return  # so a filter turns somebody away
    except ConnectionRefusedError:
        raise ToolchainError(
            f"nobody listens on {target}: `proxy-wasm run --proxy-protocol` starts Envoy, and says where it listens"
        ) from None
    except OSError as error:
        raise ToolchainError(f"{target}: {error.strerror or error}") from None


def header(source: tuple[str, int], target: tuple[str, int]) -> bytes:
    """Returns a header of the PROXY protocol, version 1."""
    version = ipaddress.ip_address(source[0]).version
    # Both addresses are of one kind.
    to = target[0] if ipaddress.ip_address(target[0]).version == version else ("127.0.0.1" if version == 4 else "::1")
    return f"PROXY TCP{version} {source[0]} {to} {source[1]} {target[1]}\r\n".encode()


def _read(text: str, port: int | None) -> tuple[str, int]:
    host, given = text, ""
    if text.startswith("["):
        host, _, given = text[1:].partition("]")
        given = given.removeprefix(":")
    elif text.count(":") == 1:
        host, _, given = text.partition(":")
    try:
        number = int(given) if given else port
        if number is None or not 0 < number < 1 << 16:
            raise ValueError("a port is a number below 65536")
        return str(ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)), number
    except ValueError as error:
        wanted = "ADDRESS:PORT, as 127.0.0.1:10000" if port is None else "ADDRESS or ADDRESS:PORT, as 172.22.0.10"
        raise ToolchainError(f"{text} is no {wanted}: {error}") from None
