"""The header that a proxy sends first: whose connection it is and where it was going. PROXY protocol, versions 1 and 2."""

from __future__ import annotations

import asyncio
import ipaddress
import struct
from dataclasses import dataclass

HEADER_SECONDS = 5.0
"""How long a header may take to arrive."""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""What version 2 begins with: 12 bytes, and no header of version 1 is shorter."""

_MAX_V1 = 107
_MAX_V2 = 4096
_LOCAL, _PROXY = 0, 1
_TCP4, _TCP6, _UNIX = 0x11, 0x21, 0x31

Address = tuple[str, int]


class HeaderError(ValueError):
    """A connection does not begin with a PROXY header; the text says what is wrong with it."""


@dataclass(frozen=True)
class Header:
    """What a header tells: the address and port of both ends, or `None` if the proxy speaks for itself."""

    source: Address | None = None
    destination: Address | None = None


async def read_header(reader: asyncio.StreamReader) -> Header:
    """Reads a header of either version; raises HeaderError if there is none, or if it does not come in time."""
    try:
        return await asyncio.wait_for(_read(reader), HEADER_SECONDS)
    except TimeoutError:
        raise HeaderError(f"no whole header in {HEADER_SECONDS:.0f} s") from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise HeaderError("the connection ended within the header") from None


async def _read(reader: asyncio.StreamReader) -> Header:
    first = await reader.readexactly(len(SIGNATURE))
    if first == SIGNATURE:
        fixed = await reader.readexactly(4)
        length: int = struct.unpack("!H", fixed[2:])[0]
        if length > _MAX_V2:
            raise HeaderError(f"version 2 with {length} bytes of addresses")
        return parse_v2(fixed[0], fixed[1], await reader.readexactly(length))
    if not first.startswith(b"PROXY "):
        raise HeaderError(f"it begins with {first!r}")
    # A header of version 1 may end with the twelfth byte's successor, and never within the twelve.
    return parse_v1(first + await reader.readuntil(b"\n"))


def parse_v1(line: bytes) -> Header:
    """Reads a header of version 1, a line with its end; raises HeaderError if it is none."""
    if len(line) > _MAX_V1 or not line.endswith(b"\r\n") or not line.isascii():
        raise HeaderError(f"version 1 with the line {line[:_MAX_V1]!r}")
    words = line[:-2].decode("ascii").split(" ")
    if words[:2] == ["PROXY", "UNKNOWN"]:
        return Header()
    families = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}
    if len(words) != 6 or words[0] != "PROXY" or words[1] not in families:
        raise HeaderError(f"version 1 with the line {line!r}")
    try:
        hosts = [str(families[words[1]](word)) for word in words[2:4]]
    except ValueError as error:
        raise HeaderError(f"version 1: {error}") from None
    ports = [_port(word) for word in words[4:]]
    return Header((hosts[0], ports[0]), (hosts[1], ports[1]))


def parse_v2(version_command: int, family: int, addresses: bytes) -> Header:
    """Reads what follows the signature of version 2; raises HeaderError if it is no such header."""
    if version_command >> 4 != 2 or version_command & 0xF not in (_LOCAL, _PROXY):
        raise HeaderError(f"version and command {version_command:#04x}")
    if version_command & 0xF == _LOCAL or family in (0, _UNIX):
        return Header()
    sizes = {_TCP4: 4, _TCP6: 16}
    if family not in sizes:
        raise HeaderError(f"version 2 with the family {family:#04x}, which is not TCP")
    size = sizes[family]
    if len(addresses) < 2 * size + 4:
        raise HeaderError(f"version 2 with {len(addresses)} bytes of addresses")
    # What follows are extensions, which change nothing here.
    source, destination = (str(ipaddress.ip_address(addresses[at : at + size])) for at in (0, size))
    ports: tuple[int, int] = struct.unpack_from("!HH", addresses, 2 * size)
    return Header((source, ports[0]), (destination, ports[1]))


def _port(word: str) -> int:
    if not word.isdigit() or len(word) > 5 or int(word) > 65535 or str(int(word)) != word:
        raise HeaderError(f"version 1 with the port {word!r}")
    return int(word)
