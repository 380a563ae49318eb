"""Runs one egress router until SIGTERM or SIGINT: `python -m egress_router --name egress-router1 --port 8080`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from egress_router.forwarding import FORBIDDEN, Forwarder
from egress_router.server import EgressRouter


async def _serve(router: EgressRouter, host: str, ports: list[int]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as stack:
        for port in ports:
            server = await router.start(host, port)
            stack.callback(server.close)
            # Whoever asked for port 0 reads here which one it is.
            address = server.sockets[0].getsockname()
            print(f"{router.name} listens on {address[0]} port {address[1]}", flush=True)
        await stop.wait()


def _router(options: argparse.Namespace) -> EgressRouter:
    def log(line: str) -> None:
        print(f"{options.name} {line}", flush=True)

    forwarder = Forwarder(options.forbid or FORBIDDEN, log) if options.forward else None
    return EgressRouter(options.name, options.proxy_protocol, forwarder)


def main() -> None:
    """Reads the command line and serves; exits with a message if it cannot listen."""
    parser = argparse.ArgumentParser(
        prog="egress_router", description="A backend that says who it is, or an egress router."
    )
    parser.add_argument("--name", required=True, help="the router's name, such as egress-router1")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--port", type=int, action="append", help="0 for a free one; may be given again; 8080 by default"
    )
    parser.add_argument(
        "--proxy-protocol", action="store_true", help="every connection begins with a PROXY header, version 1 or 2"
    )
    parser.add_argument(
        "--forward", action="store_true", help="connect to the destination in the PROXY header, and pass bytes on"
    )
    parser.add_argument(
        "--forbid",
        action="append",
        metavar="BLOCK",
        help=f"never forward to these addresses; may be given again, and replaces {', '.join(FORBIDDEN)}",
    )
    options = parser.parse_args()
    try:
        router = _router(options)
    except ValueError as error:
        parser.error(str(error))
    try:
        asyncio.run(_serve(router, options.host, options.port or [8080]))
    except OSError as error:
        sys.exit(f"egress_router: cannot listen on {options.host}: {error.strerror}")


if __name__ == "__main__":
    main()
