"""An Envoy for HTTP filters on loopback: a listener for each root id, and one server behind, with trailers in both directions."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoy import process

_TRAILERS = {"enable_trailers": True}
_TYPE = "type.googleapis.com/"
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nx-server: 1\r\ntransfer-encoding: chunked\r\ntrailer: x-trailer\r\n\r\n"
    b"6\r\nanswer\r\n5\r\n body\r\n0\r\nx-trailer: t\r\n\r\n"
)


@dataclass
class Answer:
    """What a client got: the status (0: none), headers, body and trailers, as far as they came."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    complete: bool = False


def read_message(data: bytes) -> Answer:
    """Reads an HTTP/1.1 message from its bytes."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return Answer()
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ")[1]) if first.startswith("HTTP/") else 0
    answer = Answer(status, _fields(lines))
    if answer.headers.get("transfer-encoding") != "chunked":
        size = int(answer.headers.get("content-length", 0))
        answer.body, answer.complete = rest[:size], len(rest) >= size
        return answer
    while found := re.match(rb"([0-9a-fA-F]+)\r\n", rest):
        size, rest = int(found[1], 16), rest[found.end() :]
        if not size:
            trailers, end, _ = (b"\r\n" + rest).partition(b"\r\n\r\n")
            answer.complete, answer.trailers = bool(end), _fields(trailers.decode("latin-1").split("\r\n")[1:])
            break
        answer.body, rest = answer.body + rest[:size], rest[size + 2 :]
    return answer


def _fields(lines: Iterable[str]) -> dict[str, str]:
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}


class Server:
    """Answers every request, once it is whole, with a body in two pieces and a trailer, or as it is told; it keeps the requests."""

    def __init__(self, answer: Callable[[str], bytes] = lambda path: _ANSWER) -> None:
        self._answer = answer
        self.requests: list[tuple[str, Answer]] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._socket.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        with connection, contextlib.suppress(OSError):
            while more := connection.recv(65536):
                data += more
                message = read_message(data)
                if message.complete:
                    path = data.split(b" ", 2)[1].decode()
                    self.requests.append((path, message))
                    connection.sendall(self._answer(path))
                    data = b""

    def close(self) -> None:
        """Takes no more connections."""
        self._socket.close()


def request(
    address: tuple[str, int],
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"body",
    seconds: float = 5.0,
    trailers: bool = True,
) -> Answer:
    """Sends a request with a body, and a trailer unless it is said otherwise; returns what came until the end, or in this time."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    chunked = b"%x\r\n%b\r\n0\r\nx-trailer: t\r\n\r\n" % (len(body), body)
    size, sent = ("transfer-encoding: chunked", chunked) if trailers else (f"content-length: {len(body)}", body)
    head = f"POST / HTTP/1.1\r\nhost: example.com\r\nconnection: close\r\n{size}\r\n{lines}\r\n"
    return read_message(exchange(address, head.encode() + sent, seconds))


def exchange(address: tuple[str, int], sent: bytes, seconds: float = 5.0) -> bytes:
    """Sends bytes and returns what came until a message was whole, the connection was closed, or the time was over."""
    data = b""
    with socket.create_connection(address, seconds) as client, contextlib.suppress(OSError):
        client.sendall(sent)
        while more := client.recv(65536):
            data += more
            if read_message(data).complete:
                break
    return data


_PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def cluster(name: str, port: int, protocol: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns a cluster with this port of 127.0.0.1; it speaks HTTP/1.1 with trailers, or what it is told."""
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
    explicit = protocol or {"http_protocol_options": _TRAILERS}
    options = {"@type": f"{_TYPE}{_PROTOCOLS}", "explicit_http_config": explicit}
    return {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {_PROTOCOLS: options},
    }


def wasm(root_id: str, module: Path, kind: str = "http") -> dict[str, Any]:
    """Returns the Wasm filter of a root id, an HTTP filter, or one of kind `network`."""
    plugin = {
        "name": root_id,
        "root_id": root_id,
        "vm_config": {
            "vm_id": "http",
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(module)}},
        },
    }
    return {
        "name": f"envoy.filters.{kind}.wasm",
        "typed_config": {"@type": f"{_TYPE}envoy.extensions.filters.{kind}.wasm.v3.Wasm", "config": plugin},
    }


def listener(name: str, *filters: dict[str, Any], port: int = 0) -> dict[str, Any]:
    """Returns a listener on loopback with these network filters."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"name": name, "address": address, "filter_chains": [{"filters": list(filters)}]}


def manager(*filters: dict[str, Any], to: str = "upstream") -> dict[str, Any]:
    """Returns the network filter for HTTP, with these HTTP filters before a router that routes everything to one cluster."""
    router = {"@type": f"{_TYPE}envoy.extensions.filters.http.router.v3.Router"}
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": to}}]
    configuration = {
        "@type": f"{_TYPE}envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "http_protocol_options": _TRAILERS,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [*filters, {"name": "envoy.filters.http.router", "typed_config": router}],
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": configuration}


@contextlib.contextmanager
def run(
    module: Path,
    root_ids: Iterable[str],
    work: Path,
    listeners: Iterable[dict[str, Any]] = (),
    clusters: Iterable[dict[str, Any]] = (),
    **more: object,
) -> Iterator[tuple[process.Envoy, Server]]:
    """Starts Envoy with a listener for each root id of the module, and more, and the server behind; `more` is of the bootstrap."""
    with contextlib.closing(Server()) as server:
        own = [listener(root_id, manager(wasm(root_id, module))) for root_id in root_ids]
        configuration = {
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "static_resources": {
                "listeners": [*own, *listeners],
                "clusters": [cluster("upstream", server.port), *clusters],
            },
            **more,
        }
        with process.run(configuration, work) as envoy:
            yield envoy, server
