"""A stand-in for `_proxy_wasm`, made from the ABI table, that keeps the same contract over a Host in this process.

Importing it puts it into `sys.modules`. Without a host it answers as at build time: log lines go to standard error and
every other call is UNIMPLEMENTED.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NoReturn

from proxy_wasm.testing.abi import CALLBACKS, HOST_CALLS, STATUS, HostCall, Kind
from proxy_wasm.testing.host import Host, HostStatus

_PORT = re.compile(r":[0-9]{1,5}", re.ASCII)


class Boundary:
    """The state behind the stand-in: the host, and what the SDK registered."""

    def __init__(self) -> None:
        self.host: Host | None = None
        self.callbacks: dict[str, Callable[..., int | bool | None]] = {}
        self.status_handler: Callable[[str, int], NoReturn] | None = None
        self.error_handler: Callable[[str, int, BaseException, int], int] | None = None
        self.action_type: type[int] | None = None
        self.first: dict[str, Callable[..., int | None]] = {}
        self.roots: Mapping[int, object] | None = None
        self.streams: Mapping[int, object] | None = None
        self.held_back: dict[int, int] = {}

    def register(self, callback: str, function: Callable[..., int | bool | None]) -> None:
        """Keeps the function to call for a callback."""
        if callback not in CALLBACKS:
            raise ValueError(f"no such callback: {callback}")
        self.callbacks[callback] = function

    def set_status_handler(self, handler: Callable[[str, int], NoReturn]) -> None:
        """Keeps what raises for a status."""
        self.status_handler = handler

    def set_error_handler(self, handler: Callable[[str, int, BaseException, int], int]) -> None:
        """Keeps what answers for a callback that raised."""
        self.error_handler = handler

    def set_action_type(self, action: type[int]) -> None:
        """Keeps the type of what a callback may return for an action."""
        self.action_type = action

    def register_first(self, callback: str, function: Callable[..., int | None]) -> None:
        """Keeps what makes a stream and tells it of its first callback."""
        self.first[callback] = function

    def set_contexts(self, roots: Mapping[int, object], streams: Mapping[int, object]) -> None:
        """Keeps the contexts that want to hear of their end."""
        self.roots, self.streams = roots, streams

    def call_host(self, call: HostCall, arguments: tuple[Any, ...]) -> Any:
        """Makes a host call with Python values."""
        inputs = call.inputs
        if len(arguments) != len(inputs):
            raise TypeError(f"{call.name}() takes {len(inputs)} arguments ({len(arguments)} given)")
        values = [
            _convert(f"{call.name}: {name}", kind, value)
            for (name, kind), value in zip(inputs.items(), arguments, strict=True)
        ]
        try:
            if self.host is None:
                if call.name != "proxy_log":
                    raise HostStatus("UNIMPLEMENTED")
                print(*arguments[1:], file=sys.__stderr__)
                return None
            method = getattr(self.host, call.name, None)
            if method is None:
                raise HostStatus("UNIMPLEMENTED")
            return method(*values)
        except HostStatus as answer:
            if answer.status == STATUS["OK"] or answer.status in call.absent:
                return None
            if self.status_handler is None:
                raise
            self.status_handler(call.name, answer.status)

    def call_guest(self, callback: str, arguments: tuple[int, ...]) -> int | None:
        """Makes a callback; None where nothing is registered for it."""
        context_id = arguments[0]
        function = self.callbacks.get(callback)
        if context_id in self.held_back:
            parent = self.held_back.pop(context_id)
            if callback in self.first:
                return self._call_first(callback, arguments, parent)
            self._run("proxy_on_context_create", self.callbacks["proxy_on_context_create"], (context_id, parent))
        if callback == "proxy_on_context_create" and self._hold_back(*arguments):
            return None
        if callback == "proxy_on_delete" and not self._is_known(context_id):
            return None
        return None if function is None else self._run(callback, function, arguments)

    def _call_first(self, callback: str, arguments: tuple[int, ...], parent: int) -> int | None:
        root = None if self.roots is None else self.roots.get(parent)
        if root is None:
            return CALLBACKS[callback].failed
        return self._run(callback, self.first[callback], (arguments[0], root, *arguments[1:]), parent)

    def _hold_back(self, context_id: int, parent_context_id: int) -> bool:
        if self.roots is None or not parent_context_id:
            return False
        self.held_back[context_id] = parent_context_id
        return True

    def _is_known(self, context_id: int) -> bool:
        if self.roots is None or self.streams is None:
            return True
        return context_id in self.streams or context_id in self.roots

    def _run(
        self, callback: str, function: Callable[..., int | bool | None], arguments: tuple[Any, ...], parent: int = 0
    ) -> int | None:
        try:
            result = function(*arguments)
            # True would be PAUSE, and meant as its opposite.
            if CALLBACKS[callback].result == "action" and result is not None and type(result) is not self.action_type:
                method = callback.removeprefix("proxy_")
                raise TypeError(f"{method}() returned {result!r}: return a proxy_wasm.Action, or nothing")
            return _result(result)
        except BaseException as error:
            try:
                if self.error_handler is None:
                    raise
                return _result(self.error_handler(callback, arguments[0], error, parent))
            except BaseException:
                return CALLBACKS[callback].failed


def packed_address(address: bytes | str) -> bytes | None:
    """Returns the IP address in an address as Envoy writes it, as Python's `ipaddress` reads it; None if there is no such address."""
    # Only digits, letters and a few signs mean something, so any encoding that keeps them will do.
    host, port = address if isinstance(address, str) else address.decode("latin-1"), ""
    try:
        if host.startswith("["):
            host, bracket, port = host[1:].partition("]")
            found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv6Address(host if bracket else "")
        elif host.count(":") == 1:
            host, colon, port = host.partition(":")
            found, port = ipaddress.IPv4Address(host), colon + port
        else:
            found = ipaddress.ip_address(host)
    except ValueError:
        return None
    if port and not (_PORT.fullmatch(port) and int(port[1:]) <= 65535):
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).packed


def parse_pairs(header_map: bytes) -> list[tuple[bytes, bytes]] | None:
    """Returns a header map's pairs in order; None if these bytes are no header map. No bytes at all are an empty one."""
    numbers = memoryview(header_map[: len(header_map) // 4 * 4]).cast("I")
    if len(header_map) < 4:
        return None if header_map else []
    count = numbers[0]
    texts, at = [], 4 + 8 * count
    if at > len(header_map):
        return None
    for size in numbers[1 : 1 + 2 * count]:
        if header_map[at + size : at + size + 1] != b"\0":
            return None
        texts.append(header_map[at : at + size])
        at += size + 1
    return list(zip(texts[::2], texts[1::2], strict=True))


def _result(result: object) -> int:
    if result is None:
        return 0
    if not isinstance(result, int):
        raise TypeError(f"a callback's result is an int, not {type(result).__name__}")
    return int(result)


def _convert(parameter: str, kind: Kind, value: Any) -> int | bytes:
    if kind.python != "int":
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes):
            return value
        raise TypeError(f"{parameter} must be str or bytes, not {type(value).__name__}")
    if not isinstance(value, int):
        raise TypeError(f"{parameter} must be int, not {type(value).__name__}")
    if not kind.least <= value <= kind.most:
        raise OverflowError(f"{parameter} is out of range")
    return int(value)


def _function(call: HostCall) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        return BOUNDARY.call_host(call, arguments)

    function.__name__ = call.name
    return function


BOUNDARY = Boundary()
_MODULE = ModuleType("_proxy_wasm", "The test hosts' stand-in for the boundary to the proxy.")
for _call in HOST_CALLS.values():
    setattr(_MODULE, _call.name, _function(_call))
for _name in (
    "register",
    "register_first",
    "set_status_handler",
    "set_error_handler",
    "set_action_type",
    "set_contexts",
):
    setattr(_MODULE, _name, getattr(BOUNDARY, _name))
_MODULE.packed_address, _MODULE.parse_pairs = packed_address, parse_pairs  # type: ignore[attr-defined]
_MODULE.outside_vm = True  # type: ignore[attr-defined]
sys.modules.setdefault("_proxy_wasm", _MODULE)
