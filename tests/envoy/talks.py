"""The same conversation with three hosts: InProcess, WasmModule, and a real Envoy between a client and two servers.

A script drives the client's side of one connection; a host returns the lines that the filter (in guests) says meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from envoy import configuration, process
from proxy_wasm.testing.abi import CALLBACKS, HOST_CALLS
from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.driver import NeverInEnvoyError
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm
from proxy_wasm.testing.records import DOWNSTREAM_DATA, HostStatus
from proxy_wasm.testing.wasm import WasmModule
from tests.envoy.guests import awaiting, conversation
from tests.envoy.guests.scenes import AWAITING, SCENES, source

ROOTS = {"open": "open", "closed": "closed", "silent": "silent", "early": "open", "restricted": "closed"}
"""The listeners, and the root id of each: `early` has max_early_data_bytes, `restricted` may neither log nor count."""
RESTRICTED = ("proxy_log", "proxy_get_log_level", "proxy_increment_metric", "proxy_record_metric")
VM_CONFIGURATION, PLUGIN_CONFIGURATION = "vm configuration", "plugin configuration"
RAISED = "RuntimeError: on purpose", "TypeError: on_"
_SLOW_SECONDS, _HANG_SECONDS, _SILENT_SECONDS = 0.3, 1.0, 0.3


class Guest(NamedTuple):
    """A filter to talk with: what registers it in this process, and its scenes."""

    name: str
    register: Callable[[], None]
    scenes: tuple[str, ...]

    @property
    def module(self) -> Path:
        """The built module."""
        return Path(f"tests/envoy/guests/{self.name}.wasm").absolute()


CONVERSATION = Guest("conversation", conversation.register, SCENES)
AWAITS = Guest("awaiting", awaiting.register, AWAITING)


class Client(Protocol):
    """The client's side of a connection, over which an echo server answers."""

    def send(self, data: bytes) -> None:
        """Sends bytes, which the filter sees."""

    def send_unread(self, data: bytes) -> None:
        """Sends bytes that Envoy does not read."""

    def expect(self, data: bytes) -> None:
        """Waits for exactly these bytes."""

    def expect_closed(self) -> None:
        """Waits until the proxy closes the connection."""

    def finish(self) -> None:
        """Ends the stream, and so does the server."""

    def leave(self) -> None:
        """Resets the connection."""

    def wait(self) -> None:
        """Waits until all calls are answered."""


Script = Callable[[Client], None]


class Talker(Protocol):
    """A host to talk with."""

    def talk(self, listener: str, scene: str, script: Script, lines: int) -> list[str]:
        """Has one connection, and returns what the filter said; so many lines are expected."""


def said(log: list[str], scene: str) -> list[str]:
    """Returns what the filter said in a scene, and that it raised."""
    found = []
    for line in log:
        _, mark, text = line.partition(f"# {scene}: ")
        raised = [line[line.index(text) :] for text in RAISED if text in line]
        found += [text] if mark else raised
    return found


# ---- the test hosts


class RestrictedHost(Host):
    """A host that refuses what Envoy does with a `capability_restriction_config`."""

    def __init__(self) -> None:
        super().__init__()
        for name in RESTRICTED:
            setattr(self, name, self._refuse)

    def _refuse(self, *_: object) -> None:
        raise HostStatus("INTERNAL_FAILURE")


class SimulatedClient:
    """Plays what Envoy and the servers do to a connection of a test host."""

    def __init__(self, vm: Vm, connection: Connection) -> None:
        self.vm = vm
        self.connection = connection
        self._held = self._echoed = b""
        connection.new_connection()
        self.wait(slow=False)

    def send(self, data: bytes) -> None:
        self._held += data
        self.connection.downstream_data(data)
        self.wait(slow=False)

    def send_unread(self, data: bytes) -> None:
        with pytest.raises(NeverInEnvoyError, match="max_early_data_bytes"):
            self.connection.downstream_data(data)

    def expect(self, data: bytes) -> None:
        assert self._echoed == data
        self._echoed = b""

    def expect_closed(self) -> None:
        assert self.connection.context.closed
        self.connection.close()

    def finish(self) -> None:
        self.connection.downstream_data(b"", end_of_stream=True)
        self.wait(slow=False)
        self.connection.upstream_close()
        self.connection.close()

    def leave(self) -> None:
        self.connection.close()

    def wait(self, slow: bool = True) -> None:
        while waiting := self._waiting(slow):
            for call in waiting:
                self._answer(call)
        if self._held and self.connection.goes_on and DOWNSTREAM_DATA not in self.connection.context.buffers:
            held, self._held = self._held, b""
            self.connection.upstream_data(held)
            self._echoed += held

    def _waiting(self, slow: bool) -> list[int]:
        if self.vm.host.tick_periods.get(self.vm.root.context_id):
            self.vm.tick()
        waiting = [call for call, made in self.vm.host.http_calls.items() if not made.answered]
        return [call for call in waiting if slow or self._path(call) != b"/slow"]

    def _path(self, call: int) -> bytes:
        return dict(self.vm.host.http_calls[call].headers)[b":path"]

    def _answer(self, call: int) -> None:
        path, cluster = self._path(call), self.vm.host.http_calls[call].cluster
        if cluster == b"nobody" or path in (b"/cut", b"/hang", b"/nonsense"):
            self.vm.http_call_failure(call, {b"/hang": 504, b"/nonsense": 502}.get(path, 503))
        else:
            status = b"200" if path == b"/slow" else path[1:]
            self.vm.http_call_response(call, [(b":status", status), (b"content-length", b"4")], b"body")


class TestHosts:
    """InProcess, or WasmModule if there is a cache for what it compiles."""

    __test__ = False

    def __init__(self, guest: Guest, cache: Path | None = None) -> None:
        self.guest, self.cache = guest, cache

    @contextlib.contextmanager
    def _vm(self, host: Host) -> Iterator[Vm]:
        if self.cache:
            yield WasmModule(self.guest.module, host, self.cache)
        else:
            with InProcess(None, host) as vm:
                self.guest.register()
                yield vm

    def talk(self, listener: str, scene: str, script: Script, lines: int) -> list[str]:
        host = RestrictedHost() if listener == "restricted" else Host()
        host.clusters, host.empty_clusters = {b"authz", b"nobody"}, {b"empty"}
        with self._vm(host) as vm:
            assert vm.start(VM_CONFIGURATION.encode(), PLUGIN_CONFIGURATION.encode(), ROOTS[listener].encode())
            connection = vm.connection(
                source=f"{source(scene, self.guest.scenes)}:1000", early_data=listener == "early"
            )
            script(SimulatedClient(vm, connection))
            return said(host.lines(), scene)


# ---- Envoy


class RealClient:
    """A socket."""

    def __init__(self, address: tuple[str, int], source_address: str) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(5)
        self._socket.bind((source_address, 0))
        self._socket.connect(address)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)
        # What is sent next is a segment of its own.
        time.sleep(0.05)

    def send_unread(self, data: bytes) -> None:
        self._socket.settimeout(_SILENT_SECONDS)
        self._socket.sendall(data)
        with pytest.raises(TimeoutError):
            self._socket.recv(1)

    def expect(self, data: bytes) -> None:
        received = b""
        while len(received) < len(data) and (more := self._socket.recv(1000)):
            received += more
        assert received == data

    def expect_closed(self) -> None:
        assert self._socket.recv(1) == b""
        self._socket.close()

    def finish(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)
        assert self._socket.recv(1) == b""
        self._socket.close()

    def leave(self) -> None:
        # No lingering: a reset instead of an end.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def wait(self) -> None:
        time.sleep(2 * _SLOW_SECONDS)

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()


class RealEnvoy:
    """Envoy, with a listener for each of ROOTS."""

    def __init__(self, envoy: process.Envoy, guest: Guest) -> None:
        self.envoy, self.guest = envoy, guest

    def talk(self, listener: str, scene: str, script: Script, lines: int) -> list[str]:
        before = len(self.envoy.log_lines())
        with contextlib.closing(RealClient(self.envoy.listeners[listener], source(scene, self.guest.scenes))) as client:
            script(client)
        deadline = time.monotonic() + 5
        while len(said(self.envoy.log_lines()[before:], scene)) < lines and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)  # for lines that should not come
        return said(self.envoy.log_lines()[before:], scene)


class _Authorizer(BaseHTTPRequestHandler):
    """Answers with the status that the path asks for, late, or not at all."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep({"/hang": _HANG_SECONDS, "/slow": _SLOW_SECONDS}.get(self.path, 0))
        if self.path in ("/cut", "/hang", "/nonsense"):
            self.wfile.write(b"nonsense\r\n\r\n" if self.path == "/nonsense" else b"")
            self.close_connection = True
            return
        self.send_response(int(self.path[1:]) if self.path[1:].isdigit() else 200)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


def _echo(server: socket.socket) -> None:
    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(1000):
                connection.sendall(data)

    with contextlib.suppress(OSError):
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


def _capabilities() -> dict[str, Any]:
    wasi = [
        "fd_write",
        "clock_time_get",
        "random_get",
        "environ_get",
        "environ_sizes_get",
        "args_get",
        "args_sizes_get",
        "proc_exit",
    ]
    allowed = (set(HOST_CALLS) | set(CALLBACKS) | {*wasi, "proxy_on_memory_allocate", "_initialize"}) - set(RESTRICTED)
    return {"allowed_capabilities": {name: {} for name in sorted(allowed)}}


@contextlib.contextmanager
def real_envoy(work: Path, guest: Guest) -> Iterator[RealEnvoy]:
    """Starts Envoy, an HTTP server to ask, and an echo server behind."""
    authorizer = ThreadingHTTPServer(("127.0.0.1", 0), _Authorizer)
    with authorizer, socket.create_server(("127.0.0.1", 0)) as echo, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and does not listen
        for serve in (authorizer.serve_forever, lambda: _echo(echo)):
            threading.Thread(target=serve, daemon=True).start()
        ports = dict.fromkeys(("egress-router1", "egress-router2"), echo.getsockname()[1])
        made = configuration.for_loopback(guest.module, ports, work / "access.log")
        for cluster, endpoints in {
            "authz": [authorizer.server_port],
            "nobody": [deaf.getsockname()[1]],
            "empty": [],
        }.items():
            configuration.add_cluster(made, cluster, endpoints)
        for name, root_id in ROOTS.items():
            _add_listener(made, name, root_id)
        made["static_resources"]["listeners"] = [
            listener for listener in made["static_resources"]["listeners"] if listener["name"] in ROOTS
        ]
        with process.run(made, work) as envoy:
            yield RealEnvoy(envoy, guest)
        authorizer.shutdown()


def _add_listener(made: configuration.Configuration, name: str, root_id: str) -> None:
    listener, plugin = configuration.add_listener(made, name), configuration.plugin(made, name)
    plugin |= {"name": name, "root_id": root_id}
    plugin["configuration"]["value"] = PLUGIN_CONFIGURATION
    value = {"@type": plugin["configuration"]["@type"], "value": VM_CONFIGURATION}
    plugin["vm_config"] |= {"vm_id": name, "configuration": value}
    if name == "restricted":
        plugin["capability_restriction_config"] = _capabilities()
    if name == "early":
        listener["filter_chains"][0]["filters"][1]["typed_config"]["max_early_data_bytes"] = 65536


# ---- all of them

HOSTS = ("in_process", "wasmtime", "envoy")


@contextlib.contextmanager
def talker_of(guest: Guest, host: str, work: Path) -> Iterator[Talker]:
    """Returns the host of a name, for the duration of the block, with a folder to work in."""
    if host == "envoy":
        with real_envoy(work, guest) as envoy:
            yield envoy
    else:
        yield TestHosts(guest, work if host == "wasmtime" else None)
