"""A client of a real Envoy's listener, as the fixture `vm` of `pytest --envoy` has them."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from command import connecting
from command.not_shown import NotShownError
from command.stand_ins import Http, Peer
from proxy_wasm.testing.attributes import Properties
from proxy_wasm.testing.given import encoded

_SOURCE_PORT = 40000


class Client:
    """A client of a listener: where it says that it comes from, and its connection."""

    def __init__(
        self, listener: tuple[str, int], what: str, properties: Properties, source: str | bytes | None
    ) -> None:
        given = {_name(name): value for name, value in properties.items()}
        if source is not None:
            given["source.address"] = source
        encoded(given)  # the same names and forms as in the other hosts
        self._listener = listener
        self._source = _address(given.pop("source.address", None), given.pop("source.port", None))
        self._target = _address(given.pop("destination.address", None), given.pop("destination.port", None))
        if given:
            raise NotShownError(what, f"a test cannot give a connection to a real Envoy the attribute {min(given)}")
        self.peer: Peer | None = None
        self.http: Http | None = None

    @property
    def name(self) -> str:
        """The address that Envoy's access log has."""
        assert self.peer is not None
        host, port = self.peer.name
        return f"{host}:{port}"

    def connect(self, http: bool = False) -> Peer:
        """Connects, and says in a PROXY header where from."""
        connected = socket.create_connection(self._listener, timeout=10)
        own = connected.getsockname()
        source, target = _filled(self._source, own), _filled(self._target, self._listener)
        self.peer = Peer(connected)
        self.peer.send(connecting.header(source, target))
        self.http = Http(self.peer, client=True) if http else None
        return self.peer

    def pump(self) -> bool:
        """Reads what has come, and tells whether something has."""
        side = self.http or self.peer
        return side is not None and side.pump()

    def close(self) -> None:
        """Leaves."""
        if self.peer is not None:
            self.peer.gone = True
            self.peer.socket.close()


def _name(path: str | bytes) -> str:
    return path if isinstance(path, str) else path.rstrip(b"\0").replace(b"\0", b".").decode()


def _address(address: Any, port: Any) -> tuple[str, int] | None:
    """Returns an address from what a test gives as an attribute."""
    if address is None and port is None:
        return None
    text = address.decode() if isinstance(address, bytes) else str(address or "")
    host, _, given = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "")
    number = int.from_bytes(port, "little") if isinstance(port, bytes) else port
    with contextlib.suppress(ValueError):
        number = number or int(given)
    return host.strip("[]"), int(number or 0)


def _filled(given: tuple[str, int] | None, own: tuple[str, int]) -> tuple[str, int]:
    host, port = given or ("", 0)
    return host or own[0], port or (own[1] if not host else _SOURCE_PORT)
