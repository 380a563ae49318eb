"""Runs one egress router until SIGTERM or SIGINT: `python -m egress_router --name egress-router1 --port 8080`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from egress_router.server import EgressRouter


async def _serve(name: str, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await EgressRouter(name).start(host, port)
    # Whoever asked for port 0 reads here which one it is.
    address = server.sockets[0].getsockname()
    print(f"{name} listens on {address[0]} port {address[1]}", flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    """Reads the command line and serves; exits with a message if it cannot listen."""
    parser = argparse.ArgumentParser(prog="egress_router", description="A backend that says who it is.")
    parser.add_argument("--name", required=True, help="the router's name, such as egress-router1")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 for a free one")
    options = parser.parse_args()
    try:
        asyncio.run(_serve(options.name, options.host, options.port))
    except OSError as error:
        sys.exit(f"egress_router: cannot listen on {options.host} port {options.port}: {error.strerror}")


if __name__ == "__main__":
    main()
