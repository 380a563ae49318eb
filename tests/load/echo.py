"""A backend for connections that stay: says its name as one line, then echoes, until the client ends.

`python -m tests.load.echo --name egress-router1 --port 0`, as `egress_router`, whose clients are always sent away.
"""

from __future__ import annotations

import argparse
import asyncio
import signal


class Echo(asyncio.Protocol):
    """One connection."""

    def __init__(self, greeting: bytes) -> None:
        self._greeting = greeting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says the name."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        """Sends back what came."""
        self._transport.write(data)


async def _serve(name: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    greeting = name.encode() + b"\n"
    # Every loopback address: each is port space of its own for the proxy's connections.
    server = await loop.create_server(lambda: Echo(greeting), "0.0.0.0", port, backlog=4096)
    print(f"{name} listens on port {server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    """Reads the command line and serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="echo", description="A backend that says who it is, and echoes.")
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    options = parser.parse_args()
    asyncio.run(_serve(options.name, options.port))


if __name__ == "__main__":
    main()
