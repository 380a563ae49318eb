"""Load by locust: TCP connections from even and odd source addresses, each reply checked against the router it must come from.

It needs locust and nothing of this repository, so that a container or pod can run it alone. One misroute fails the run: locust's exit
status is 1. README.md shows it headless, with the web page, and distributed.
"""

from __future__ import annotations

import ipaddress
import itertools
import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

from locust import User, constant_throughput, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

TIMEOUT_SECONDS = 10.0
PARITIES = ("even", "odd")

# Of this process and not of the run: a distributed run's master would overwrite its workers' own.
_sources: list[str] = []


class Misrouted(Exception):
    """A connection reached another router than its source address asks for."""


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _add_arguments(parser: LocustArgumentParser) -> None:
    parser.add_argument(
        "--wasm", env_var="BENCH_WASM", default="127.0.0.1:10000", help="listener that routes by source"
    )
    parser.add_argument("--baseline", env_var="BENCH_BASELINE", default="127.0.0.1:10001", help="listener without Wasm")
    parser.add_argument(
        "--routers",
        env_var="BENCH_ROUTERS",
        default="egress-router1,egress-router2",
        help="what the routers for even and for odd sources call themselves; the baseline goes to the first",
    )
    parser.add_argument(
        "--rate",
        env_var="BENCH_RATE",
        type=float,
        default=10.0,
        help="connections per second of each user, whatever time they take",
    )
    parser.add_argument(
        "--sources",
        env_var="BENCH_SOURCES",
        default="",
        include_in_web_ui=False,
        help="addresses of this machine to connect from, with commas; none: the one that the system chooses",
    )


@events.init.add_listener  # type: ignore[untyped-decorator]
def _read_sources(environment: Environment, **_: Any) -> None:
    assert environment.parsed_options
    _sources[:] = [source for source in environment.parsed_options.sources.split(",") if source]


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _judge(environment: Environment, **_: Any) -> None:
    assert environment.parsed_options
    if isinstance(environment.runner, WorkerRunner):
        return
    misroutes = sum(
        error.occurrences for error in environment.stats.errors.values() if Misrouted.__name__ in repr(error.error)
    )
    if misroutes:
        logging.error("%d connections were MISROUTED", misroutes)
        environment.process_exit_code = 1
    seen = {name for (name, _), entry in environment.stats.entries.items() if entry.num_requests}
    missing = {f"{listener} {parity}" for listener in ("baseline", "wasm") for parity in PARITIES} - seen
    if missing and environment.parsed_options.headless:
        logging.error("no connection was made as: %s; give sources of both parities", ", ".join(sorted(missing)))
        environment.process_exit_code = 1


def parity(address: str) -> int:
    """Returns 0 or 1, the parity of an IP address's last byte."""
    return ipaddress.ip_address(address).packed[-1] % 2


def address(listener: str) -> tuple[str, int]:
    """Returns the host and port of `host:port`; raises ValueError where there is no port."""
    host, colon, port = listener.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"a listener is host:port, and not {listener!r}")
    return host.strip("[]"), int(port)


class Client(User):
    """A client that connects to the listeners in turn, from the sources in turn, and asks who answers."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._turns: Iterator[tuple[str, str]] = itertools.cycle(
            itertools.product(_sources or [""], ("baseline", "wasm"))
        )

    def wait_time(self) -> float:
        """Returns how long to wait, so that this user makes `--rate` connections per second."""
        assert self.environment.parsed_options
        return constant_throughput(self.environment.parsed_options.rate)(self)

    @task
    def connect(self) -> None:
        """Makes one connection and reports it as `baseline even`, `wasm odd` and so on."""
        source, listener = next(self._turns)
        name, reply, failure = listener, "", None
        started = time.perf_counter()
        try:
            reply, local = self._ask(address(getattr(self.environment.parsed_options, listener)), source)
            name = f"{listener} {PARITIES[parity(local)]}"
            self._check(listener, local, reply)
        except (OSError, ValueError, Misrouted) as error:
            failure = error
        self.environment.events.request.fire(
            request_type="TCP",
            name=name,
            response_time=(time.perf_counter() - started) * 1000,
            response_length=len(reply),
            exception=failure,
            context={},
        )

    @staticmethod
    def _ask(listener: tuple[str, int], source: str) -> tuple[str, str]:
        """Returns the router's name, and the client's own address."""
        bound = (source, 0) if source else None
        with socket.create_connection(listener, TIMEOUT_SECONDS, bound) as connection:
            local: str = connection.getsockname()[0]
            # The router names itself to whoever sends a line that is no HTTP.
            connection.sendall(b"\n")
            reply = connection.makefile("rb").readline().decode(errors="replace").strip()
        if not reply:
            raise ConnectionError("closed without an answer")
        return reply, local

    def _check(self, listener: str, local: str, reply: str) -> None:
        """Raises Misrouted where the reply is not the router's that it must come from."""
        assert self.environment.parsed_options
        routers = self.environment.parsed_options.routers.split(",")
        expected = routers[parity(local) if listener == "wasm" else 0]
        if reply != expected:
            # No address: locust keeps a counter for each text.
            raise Misrouted(f"an {PARITIES[parity(local)]} source reached {reply!r} and not {expected!r}")
