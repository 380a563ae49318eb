"""What the client processes do: connect in a row, hold connections open, and behave as no client should.

Each function runs in a process of its own and counts in shared memory, so that whoever started it can look at any time.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys
import time
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from envoy.client import Held

ROUTERS = ["egress-router1", "egress-router2"]
DONE, LOST, MISROUTED = range(3)
Address = tuple[str, int]
Counts = MutableSequence[int]

_TIMEOUT_SECONDS = 60
_GREETINGS = [f"{name}\n".encode() for name in ROUTERS]
_NO_PORT_YET = 24  # IP_BIND_ADDRESS_NO_PORT: the port is chosen with the connection, and not one for all destinations
_TCP_REPAIR = 19
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no farewell


def source(number: int) -> str:
    """Returns one of 62,500 loopback addresses, so that there are ports enough."""
    return f"127.22.{number // 250 % 250}.{number % 250 + 1}"


def router(address: str) -> int:
    """Returns which router the default rule sends this source to."""
    return int(address.rpartition(".")[2]) % 2


def connect(address: Address, source: str) -> socket.socket:
    """Returns a connection; raises OSError. The kernel keeps its timeout: Python's costs a call more for every call."""
    made = socket.socket()
    try:
        made.setsockopt(socket.IPPROTO_IP, _NO_PORT_YET, 1)
        for timeout in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            made.setsockopt(socket.SOL_SOCKET, timeout, struct.pack("ll", _TIMEOUT_SECONDS, 0))
        made.bind((source, 0))
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def in_a_row(address: Address, first: int, count: int, counts: Counts) -> None:
    """Connects `count` times, one after the other, reads the router's name and goes."""
    for number in range(first, first + count):
        where = source(number)
        greeting, why = b"", "closed without a word"
        try:
            with connect(address, where) as connection:
                greeting = connection.recv(64)
        except OSError as error:
            why = repr(error)
        if not greeting:
            counts[LOST] += 1
            print(f"lost: connection {number} from {where}, {why}", file=sys.stderr, flush=True)
        elif greeting != _GREETINGS[router(where)]:
            counts[MISROUTED] += 1
        counts[DONE] += 1


@dataclass(frozen=True)
class Arrival:
    """A connection that came: from when to when (monotonic), from where, and which router answered; none if it was lost."""

    began: float
    ended: float
    source: str
    router: str


def arrive(address: Address, rate: int, first: int, stop: Event, answer: Connection) -> None:
    """Connects `rate` times a second until told to stop, then sends the list of arrivals."""
    arrivals: list[Arrival] = []
    while not stop.is_set():
        where, began = source(first + len(arrivals)), time.monotonic()
        name = b""
        with contextlib.suppress(OSError), connect(address, where) as connection:
            name = connection.recv(64)
        arrivals.append(Arrival(began, time.monotonic(), where, name.decode().strip()))
        time.sleep(max(0.0, began + 1 / rate - time.monotonic()))
    answer.send(arrivals)


def hold(address: Address, first: int, count: int, counts: Counts, orders: Connection) -> None:
    """Opens `count` connections and keeps them until an order comes; then tells how many of them echo, and closes them."""
    held = []
    for number in range(first, first + count):
        where = source(number)
        try:
            connection = Held(address, where, _TIMEOUT_SECONDS)
        except OSError:
            counts[LOST] += 1
        else:
            held.append(connection)
            counts[LOST] += not connection.name
            counts[MISROUTED] += connection.name not in ("", ROUTERS[router(where)])
        counts[DONE] += 1
    orders.recv()
    orders.send(sum(connection.echoes() for connection in held))


# ---- clients as there should be none


@dataclass
class Listeners:
    """Where they go: the listener that the others use, one that ends idle connections, and one that waits for a PROXY header."""

    main: Address
    impatient: Address
    proxy_protocol: Address


@dataclass
class OddClients:
    """Each kind's connections, and how many of them the proxy failed."""

    listeners: Listeners
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    number: int = 0

    def run(self, stop: Event) -> None:
        """Makes one of each kind a few times a second, until told to stop."""
        waiting: list[tuple[float, Callable[[], None]]] = []
        while not stop.is_set():
            for kind in _KINDS:
                self.number += 1
                try:
                    later = kind(self, source(self.number))
                except OSError as error:
                    if error.errno not in (errno.EPERM, errno.EACCES):
                        self.failures.append(f"{kind.__name__}: {error!r}")
                    continue
                name = kind.__name__.replace("_", " ").strip()
                self.counts[name] = self.counts.get(name, 0) + 1
                if later:
                    waiting.append((time.monotonic() + 2, later))
            while waiting and waiting[0][0] < time.monotonic():
                self._finish(waiting.pop(0)[1])
            time.sleep(0.1)
        for _, later in waiting:
            self._finish(later)

    def _finish(self, later: Callable[[], None]) -> None:
        try:
            later()
        except OSError as error:
            self.failures.append(repr(error))

    def expect(self, connection: socket.socket, where: str) -> None:
        """Reads the router's name and notes a failure if it is not the right one."""
        greeting = connection.recv(64)
        if greeting != _GREETINGS[router(where)]:
            self.failures.append(f"{where} got {greeting!r}")


def _half_closed(clients: OddClients, where: str) -> None:
    with connect(clients.listeners.main, where) as connection:
        connection.shutdown(socket.SHUT_WR)
        clients.expect(connection, where)


def _reset_at_once(clients: OddClients, where: str) -> None:
    with connect(clients.listeners.main, where) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _reset_when_routed(clients: OddClients, where: str) -> None:
    with connect(clients.listeners.main, where) as connection:
        clients.expect(connection, where)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _reset_in_the_handshake(clients: OddClients, where: str) -> None:
    """Sends a SYN for which the kernel has no socket: it answers the proxy's SYN-ACK with a reset. Needs CAP_NET_RAW."""
    host, port = clients.listeners.main
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.bind((where, 0))
        raw.sendto(_syn(where, host, 1024 + clients.number % 30000, port), (host, 0))


def _syn(source: str, destination: str, source_port: int, port: int) -> bytes:
    def header(checksum: int) -> bytes:
        return struct.pack("!HHIIBBHHH", source_port, port, 1, 0, 5 << 4, 2, 8192, checksum, 0)

    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, socket.IPPROTO_TCP, 20)
    total = sum(struct.unpack("!16H", pseudo + header(0)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return header(~total & 0xFFFF)


def _half_open(clients: OddClients, where: str) -> None:
    """Is gone without a word, as when a cable is pulled: a socket under repair sends nothing. Needs CAP_NET_ADMIN."""
    with connect(clients.listeners.impatient, where) as connection:
        clients.expect(connection, where)
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)


def _silent(clients: OddClients, where: str) -> Callable[[], None]:
    """Says nothing and stays, until the listener's idle timeout ends it."""
    connection = connect(clients.listeners.impatient, where)
    clients.expect(connection, where)

    def ended() -> None:
        with connection:
            if connection.recv(1):
                clients.failures.append(f"{where}: not ended by the idle timeout")

    return ended


def _slow(clients: OddClients, where: str) -> Callable[[], None]:
    """Sends a byte now and one two seconds later."""
    connection = connect(clients.listeners.main, where)
    clients.expect(connection, where)
    connection.sendall(b"1")

    def goes_on() -> None:
        with connection:
            connection.sendall(b"2")
            echoed = b""
            while len(echoed) < 2 and (more := connection.recv(2)):
                echoed += more
            if echoed != b"12":
                clients.failures.append(f"{where}: slow, got {echoed!r}")

    return goes_on


def _zero_bytes(clients: OddClients, where: str) -> Callable[[], None]:
    """Keeps a listener waiting for its PROXY header, and goes."""
    return connect(clients.listeners.proxy_protocol, where).close


def _half_a_proxy_header(clients: OddClients, where: str) -> Callable[[], None]:
    """Begins a PROXY header, and goes."""
    connection = connect(clients.listeners.proxy_protocol, where)
    connection.sendall(b"PROXY TCP4 192.0.2.")
    return connection.close


_KINDS: list[Callable[[OddClients, str], Callable[[], None] | None]] = [
    _half_closed,
    _half_open,
    _reset_at_once,
    _reset_when_routed,
    _reset_in_the_handshake,
    _silent,
    _slow,
    _zero_bytes,
    _half_a_proxy_header,
]


def behave_oddly(listeners: Listeners, stop: Event, answer: Connection) -> None:
    """Runs every kind of odd client until told to stop, then sends the counts and the failures."""
    clients = OddClients(listeners)
    clients.run(stop)
    answer.send((clients.counts, clients.failures))
