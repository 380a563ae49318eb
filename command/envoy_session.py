"""A real Envoy with stand-ins before and behind it: what came to whom, and when all is quiet."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from command import staged
from command.envoy_client import Client
from command.envoy_trace import Callback, Trace
from command.not_shown import NotShownError
from command.stand_ins import Peer, Stream
from envoy.process import Envoy

ROOT = 1
"""The context of Envoy's first plugin."""

LONGEST_WAIT_SECONDS = 3.0
"""So long a test waits for what needs time."""

_QUIET_ROUNDS = 6
"""So often in a row the worker must have had its turn without anything having come of it."""

_MOST_ROUNDS = 1000
_POLL_SECONDS = 0.02


class Session:
    """An Envoy with one worker, its clients and its servers."""

    def __init__(self, envoy: Envoy, stage: staged.Stage) -> None:
        self.envoy, self.stage = envoy, stage
        self.trace: Trace = Trace(envoy.log)
        self.clients: list[Client] = []
        self.calls: list[tuple[str, Stream]] = []
        """What the filter called, in the order in which it came: the cluster, and the request."""

        self._probe = socket.create_connection(envoy.listeners[staged.PROBE], timeout=10)
        self._probe.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._claimed: list[Peer] = []
        self.settle()

    def close(self) -> None:
        """Lets go of all connections."""
        self._probe.close()
        for client in self.clients:
            client.close()

    def settle(self) -> None:
        """Waits until Envoy has done all that came to it, and everybody has read what Envoy sent."""
        quiet = 0
        for _ in range(_MOST_ROUNDS):
            self._probe.sendall(b"?")
            self._probe.recv(1)
            # Every one of them is to be read.
            changed = [server.pump() for server in self.stage.servers.values()]
            changed += [client.pump() for client in self.clients]
            quiet = 0 if any(changed) else quiet + 1
            if quiet == _QUIET_ROUNDS:
                break
        known = {id(stream) for _, stream in self.calls}
        self.calls += [
            (name, stream)
            for name, server in self.stage.servers.items()
            for stream in server.streams
            if id(stream) not in known and stream.got.header(staged.MARK) is None
        ]
        self.trace.read()

    def wait(self, done: Callable[[], bool], what: str) -> None:
        """Waits for what needs time."""
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise NotShownError(what, f"it did not come within {LONGEST_WAIT_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)
            self.settle()

    def claim(self) -> tuple[str, Peer] | None:
        """Returns the next connection to a stand-in that nobody has claimed, and the stand-in's cluster."""
        for name, server in self.stage.servers.items():
            for peer in server.connections:
                if peer not in self._claimed:
                    self._claimed.append(peer)
                    return name, peer
        return None

    def since(self, mark: int, name: str) -> list[Callback]:
        """Returns the callbacks of a name after the first so many."""
        return [callback for callback in self.trace.callbacks[mark:] if callback.name == name]
