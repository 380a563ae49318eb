"""Joins a client to the destination that it was going to, as an egress router does: both ways, and each way to its own end."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable, Iterable

from egress_router.proxy_protocol import Address

CONNECT_SECONDS = 5.0
"""How long a destination may take to accept."""
BUFFER = 64 * 1024
"""How many bytes a router holds of each way of a connection."""
FORBIDDEN = (
    *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"),
    *("::/128", "::1/128", "fe80::/10", "ff00::/8"),
)
"""Where a router connects to for nobody: itself, its node's metadata server, and what is no host."""


class Forwarder:
    """Connects to the destinations of others, but for some blocks of addresses; says to `log` what it did."""

    def __init__(self, forbidden: Iterable[str] = FORBIDDEN, log: Callable[[str], None] = lambda line: None) -> None:
        """Takes blocks such as `10.0.0.0/8`; raises ValueError if one is none."""
        self._forbidden = [ipaddress.ip_network(block) for block in forbidden]
        self._log = log

    def allows(self, host: str) -> bool:
        """Tells whether an address is outside of the forbidden blocks; IPv4 in IPv6 is the IPv4 address."""
        address = ipaddress.ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        return not any(address in block for block in self._forbidden)

    async def forward(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        source: Address | None,
        destination: Address,
    ) -> None:
        """Connects to the destination and passes bytes on until both sides have ended; the client's side is left to be closed."""
        what = f"{_shown(source)} to {_shown(destination)}"
        if not self.allows(destination[0]):
            self._log(f"refused {what}: the address is forbidden")
            return
        try:
            opening = asyncio.open_connection(*destination, limit=BUFFER)
            far_reader, far_writer = await asyncio.wait_for(opening, CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            self._log(f"cannot forward {what}: {error or 'no answer'}")
            return
        self._log(f"forwards {what}")
        try:
            for end in (writer, far_writer):
                # A peer that is gone without a word must not be kept for ever.
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await _join((reader, far_writer), (far_reader, writer))
        finally:
            far_writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await far_writer.wait_closed()


async def _join(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Passes bytes on in both ways; what breaks in one ends both at once, by a reset."""
    try:
        async with asyncio.TaskGroup() as group:
            for reader, writer in ways:
                group.create_task(_pump(reader, writer))
    except* OSError:
        for _, writer in ways:
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(BUFFER):
        writer.write(chunk)
        await writer.drain()
    # Half a connection may live on.
    if writer.can_write_eof():
        writer.write_eof()


def _shown(address: Address | None) -> str:
    if address is None:
        return "somebody"
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
