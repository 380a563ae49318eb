"""A stand-in for `_proxy_wasm`, made from the ABI table, that keeps the same contract over a Host in this process.

Importing it puts it into `sys.modules`. Without a host it answers as at build time: log lines go to standard error and
every other call is UNIMPLEMENTED.
"""

from __future__ import annotations

import importlib
import inspect
import ipaddress
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, NoReturn

from proxy_wasm.testing.abi import CALLBACKS, HOST_CALLS, STATUS, HostCall, Kind
from proxy_wasm.testing.docstrings import declared, of_calls
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.records import HostStatus

_PORT = re.compile(r":[0-9]{1,5}", re.ASCII)
_BYTES = HOST_CALLS["proxy_remove_header_map_value"].inputs["key"]
_BAD_MAP = "header map: cut off, or a text does not end in a zero byte"
_LINE_ENDS = frozenset(b"\r\n\0")


class Boundary:
    """The state behind the stand-in: the host, and what the SDK registered."""

    def __init__(self) -> None:
        self.host: Host | None = None
        self.callbacks: dict[str, Callable[..., int | bool | None]] = {}
        self.status_handler: Callable[..., NoReturn] | None = None
        self.error_handler: Callable[[str, int, BaseException, int], int] | None = None
        self.action_type: type[int] | None = None
        self.first: dict[str, Callable[..., int | None]] = {}
        self.roots: Mapping[int, object] | None = None
        self.streams: Mapping[int, object] | None = None
        self.undecided: Mapping[int, object] | None = None
        self.held_back: dict[int, int] = {}
        self.running = self.effective = 0

    def register(self, callback: str, function: Callable[..., int | bool | None], /) -> None:
        """Keeps the function to call for a callback."""
        if callback not in CALLBACKS:
            raise ValueError(f"no such callback: {callback}")
        self.callbacks[callback] = function

    def set_status_handler(self, handler: Callable[..., NoReturn], /) -> None:
        """Keeps what raises for a status."""
        self.status_handler = handler

    def set_error_handler(self, handler: Callable[[str, int, BaseException, int], int], /) -> None:
        """Keeps what answers for a callback that raised."""
        self.error_handler = handler

    def set_action_type(self, action: type[int], /) -> None:
        """Keeps the type of what a callback may return for an action."""
        self.action_type = action

    def register_first(self, callback: str, function: Callable[..., int | None], /) -> None:
        """Keeps what makes a stream and tells it of its first callback."""
        self.first[callback] = function

    def set_contexts(
        self,
        roots: Mapping[int, object],
        streams: Mapping[int, object],
        undecided: Mapping[int, object] | None,
        /,
    ) -> None:
        """Keeps the contexts that want to hear of their end."""
        self.roots, self.streams, self.undecided = roots, streams, undecided

    def no_quick_way(self, *_: object) -> None:
        """Takes what a built module has to know to do without a function of the SDK's: here that function is called."""

    def speaker(self) -> int:
        """Returns the context in whose name host calls are made; 0 outside of a callback."""
        return self.effective or self.running

    def speak_for(self, context_id: int, /) -> int:
        """Makes the host calls that follow in the name of a context, and returns the one that had spoken so far."""
        before = self.speaker()
        if context_id != before or not before:
            _FUNCTIONS["proxy_set_effective_context"](0 if context_id == self.running else context_id)
        return before

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
            result = method(*values)
            if call.name == "proxy_set_effective_context":
                self.effective = int(values[0])
            return result
        except HostStatus as answer:
            if answer.status == STATUS["OK"] or answer.status in call.absent:
                return None
            if self.status_handler is None:
                raise
            about = [value for name, value in zip(inputs, arguments, strict=True) if name == call.about]
            self.status_handler(call.name, answer.status, *about)

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
        return any(context_id in known for known in (self.streams, self.roots, self.undecided or ()))

    def _run(
        self, callback: str, function: Callable[..., int | bool | None], arguments: tuple[Any, ...], parent: int = 0
    ) -> int | None:
        outer = self.running, self.effective
        self.running, self.effective = arguments[0], 0
        try:
            return self._result_of(callback, function, arguments, parent)
        finally:
            self.running, self.effective = outer

    def _result_of(
        self, callback: str, function: Callable[..., int | bool | None], arguments: tuple[Any, ...], parent: int
    ) -> int | None:
        try:
            result = function(*arguments)
            # True would be PAUSE, and meant as its opposite.
            if CALLBACKS[callback].result == "action" and result is not None and type(result) is not self.action_type:
                method = callback.removeprefix("proxy_")
                raise TypeError(f"{method}() returned {result!r}: return a proxy_wasm.Action, or nothing")
            return _result(result)
        except KeyboardInterrupt:  # the test's author ends the test
            raise
        except BaseException as error:
            try:
                if self.error_handler is None:
                    raise
                return _result(self.error_handler(callback, arguments[0], error, parent))
            except BaseException:
                return CALLBACKS[callback].failed


def packed_address(address: bytes | str, /) -> bytes | None:
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


def parse_pairs(header_map: bytes, /) -> list[tuple[bytes, bytes]]:
    """Returns a header map's pairs in order, or raises ValueError. No bytes at all are an empty one."""
    if not header_map:
        return []
    sizes, texts, at = header_map[4:], [], 4 + 8 * int.from_bytes(header_map[:4], "little")
    if not 4 <= at <= len(header_map):
        raise ValueError(_BAD_MAP)
    for place in range(0, at - 4, 4):
        size = int.from_bytes(sizes[place : place + 4], "little")
        if header_map[at + size : at + size + 1] != b"\0":
            raise ValueError(_BAD_MAP)
        texts.append(header_map[at : at + size])
        at += size + 1
    return list(zip(texts[::2], texts[1::2], strict=True))


def write_pairs(pairs: Iterable[tuple[bytes | str, bytes | str]], /) -> bytes:
    """Returns a header map's bytes; raises ValueError for what cannot be in a header."""
    texts: list[bytes] = []
    for given in list(pairs):
        pair = tuple(given)
        if len(pair) != 2:
            raise ValueError(f"a header is a name and a value, not {given!r}")
        texts += (_checked("header map: a name", pair[0]), _checked("header map: a value", pair[1]))
    sizes = [len(text).to_bytes(4, "little") for text in texts]
    return b"".join([(len(texts) // 2).to_bytes(4, "little"), *sizes, *(text + b"\0" for text in texts)])


def _checked(parameter: str, text: bytes | str) -> bytes:
    data = _convert(parameter, _BYTES, text)
    assert isinstance(data, bytes)
    if not _LINE_ENDS.isdisjoint(data):
        raise ValueError(f"a header with a line's end or a NUL in it: {data!r}")
    return data


class HeaderMap:
    """The base of the SDK's `Headers`: what a request does most with its headers."""

    __slots__ = ("map",)

    def __init__(self, header_map: int, /) -> None:
        self.map = header_map

    def __getitem__(self, name: bytes | str, /) -> bytes:
        value = _FUNCTIONS["proxy_get_header_map_value"](self.map, name)
        if value is None:
            raise KeyError(name)
        return bytes(value)

    def get(self, name: bytes | str, /, default: object = None) -> object:
        """Returns the first value of a header, or the default."""
        value = _FUNCTIONS["proxy_get_header_map_value"](self.map, name)
        return default if value is None else value

    def __setitem__(self, name: bytes | str, value: bytes | str, /) -> None:
        self._change("proxy_replace_header_map_value", name, value)

    def add(self, name: bytes | str, value: bytes | str, /) -> None:
        """Adds a value, after those that the header has."""
        self._change("proxy_add_header_map_value", name, value)

    def _change(self, call: str, name: bytes | str, value: bytes | str) -> None:
        _FUNCTIONS[call](self.map, _checked(f"{call}: key", name), _checked(f"{call}: value", value))

    def __delitem__(self, name: bytes | str, /) -> None:
        _FUNCTIONS["proxy_remove_header_map_value"](self.map, name)

    def items(self) -> list[tuple[bytes, bytes]]:
        """Returns all names and values, in order."""
        return parse_pairs(_FUNCTIONS["proxy_get_header_map_pairs"](self.map))


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
    function.__doc__ = _DOCSTRINGS.get(call.name)
    function.__signature__ = _signature(call)  # type: ignore[attr-defined]
    return function


def _signature(call: HostCall) -> inspect.Signature:
    """Returns what the type stubs say of a host call, for `help()`."""
    by_place = inspect.Parameter.POSITIONAL_ONLY
    parameters = [inspect.Parameter(name, by_place, annotation=kind.python) for name, kind in call.inputs.items()]
    results = [kind.python for kind in call.outputs.values()]
    result = f"tuple[{', '.join(results)}]" if len(results) > 1 else "".join(results) or "None"
    return inspect.Signature(parameters, return_annotation=f"{result} | None" if call.absent else result)


BOUNDARY = Boundary()
_DOCSTRINGS = of_calls()
_MODULE = ModuleType("_proxy_wasm", "The test hosts' stand-in for the boundary to the proxy.")
_FUNCTIONS = {call.name: _function(call) for call in HOST_CALLS.values()}
for _name, _made in _FUNCTIONS.items():
    setattr(_MODULE, _name, _made)
for _name in (
    "register",
    "register_first",
    "set_status_handler",
    "set_error_handler",
    "set_action_type",
    "set_contexts",
    "speaker",
    "speak_for",
):
    setattr(_MODULE, _name, getattr(BOUNDARY, _name))
for _name in (
    "register_quick",
    "set_class",
    "set_layout",
    "set_router",
    "set_source_table",
    "set_waiting",
    "set_tasks",
    "go_on",
    "freeze",
):
    setattr(_MODULE, _name, BOUNDARY.no_quick_way)
_MODULE.Table = dict  # type: ignore[attr-defined]
for _own in (packed_address, parse_pairs, write_pairs, HeaderMap):
    setattr(_MODULE, _own.__name__, _own)
_MODULE.outside_vm = True  # type: ignore[attr-defined]
sys.modules.setdefault("_proxy_wasm", _MODULE)
# What is written in Python by means of the above.
_CALLS = importlib.import_module("proxy_wasm.testing.calls")
for _name in ("HttpAnswer", "Task", "Wait", "awaited_calls", "fetch", "get_http_answer", "http_call"):
    setattr(_MODULE, _name, getattr(_CALLS, _name))
for _name, _docstring in declared().items():
    _owner, _, _name = _name.rpartition(".")
    _found = getattr(getattr(_CALLS, _owner) if _owner else _CALLS, _name, None)
    if _found is not None:
        _found.__doc__ = _docstring
