"""A real Envoy with the filter in it, as a test sees it: the fixture `envoy` of the command's pytest plugin."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from pathlib import Path

_TIMEOUT_SECONDS = 10.0
_POLL_SECONDS = 0.02


class RunningEnvoy:
    """An Envoy that listens. `address` is that of the first listener with the filter, `log` the file of Envoy's log."""

    def __init__(self, address: tuple[str, int], log: Path) -> None:
        self.address = address
        self.log = log

    def connect(self, source: str | None = None) -> socket.socket:
        """Returns a connection to the listener, from an address of this machine if one is given; raises OSError."""
        bind = (source, 0) if source else None
        return socket.create_connection(self.address, timeout=_TIMEOUT_SECONDS, source_address=bind)

    def get(self, path: str = "/", source: str | None = None, headers: dict[str, str] | None = None) -> str:
        """Returns the body of the answer to a GET; raises ConnectionError if the connection is closed without one."""
        with self.connect(source) as connected:
            client = http.client.HTTPConnection(*self.address)
            client.sock = connected
            with contextlib.closing(client):
                client.request("GET", path, headers=headers or {})
                return client.getresponse().read().decode(errors="replace")

    def logged(self, text: str, seconds: float = 5.0) -> bool:
        """Tells whether Envoy's log has a text, or gets it within some seconds."""
        deadline = time.monotonic() + seconds
        while text not in self.log.read_text(encoding="utf-8", errors="replace"):
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True
