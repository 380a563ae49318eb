"""What a proxy has not: in a filter's callback it fails in this process too, as it does in a built module.

An audit hook of Python's refuses files, sockets and processes to the filter's own modules. Functions that wait or start a thread are
replaced. The rest is not disturbed: a test and its fixtures, pytest, a debugger, imports, and packages of others.
"""

from __future__ import annotations

import _thread
import errno
import os
import sys
import threading
import time
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from proxy_wasm import _dispatch
from proxy_wasm.testing.boundary import BOUNDARY

_SOCKETS = "there are no sockets in a proxy: call a service that Envoy has as a cluster, with fetch() or http_call()"
_THREADS = (
    "there are no threads in a proxy: one thread serves all connections of a worker. "
    "Call set_tick_period(milliseconds), return, and do the work in parts in on_tick()"
)
_SLEEP = (
    "time.sleep() would wait, and nothing may wait in a proxy: one thread serves all connections of a worker. "
    "In an async callback await proxy_wasm.timers.sleep(seconds). "
    "Elsewhere: Call set_tick_period(milliseconds), return, and go on in on_tick()"
)
_FOR_ITSELF = {
    "bdb",
    "gettext",
    "importlib",
    "linecache",
    "locale",
    "mimetypes",
    "pdb",
    "tokenize",
    "zipimport",
    "zoneinfo",
}
"""Modules of the standard library that look into files, and do without them in a proxy."""

_STANDARD = str(Path(os.__file__).parent) + os.sep
_OTHERS = ("site-packages", "dist-packages")


def _file(path: object, *_: object) -> Exception | None:
    if isinstance(path, int):  # it is open already
        return None
    # A module has its time zones in itself. C code opens them here, so that it is the filter that asks.
    if str(path).startswith(tuple(zoneinfo.TZPATH)):
        return None
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _socket(*_: object) -> Exception:
    return OSError(_SOCKETS)


_REFUSALS: dict[str, Callable[..., Exception | None]] = {
    "open": _file,
    "os.listdir": _file,
    "os.mkdir": _file,
    "os.remove": _file,
    "os.scandir": _file,
    "socket.__new__": _socket,
    "socket.getaddrinfo": _socket,
    "socket.gethostbyname": _socket,
    "subprocess.Popen": lambda *_: OSError(errno.ENOTSUP, "wasi does not support processes."),
}
"""What a module raises, by the audit event. Not every Python that is supported has one for a sleep, or for a thread."""

_CALLBACK, _HOST_CALL = (function.__code__ for function in (type(BOUNDARY).call_guest, type(BOUNDARY).call_host))
_hooked: list[bool] = []


def refuse() -> None:
    """Refuses from now on to callbacks what a proxy has not."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hook)


def replacements(modules: Iterable[ModuleType]) -> Iterator[tuple[ModuleType, str, Callable[..., Any]]]:
    """Yields what to call instead of functions that a filter's modules, or the standard library for it, have by some name."""
    for module in {time, threading, *modules}:
        for name, value in list(vars(module).items()):
            if callable(value) and getattr(value, "__module__", "") in ("time", "_thread") and value in _REPLACED:
                yield module, name, _REPLACED[value]


def _guarded(function: Callable[..., Any], refusal: Callable[..., Exception | None]) -> Callable[..., Any]:
    def called(*arguments: Any, **named: Any) -> Any:
        error = refusal(*arguments) if BOUNDARY.running and _asks(sys._getframe(1)) else None
        if error is not None:
            raise error
        return function(*arguments, **named)

    return called


def _sleep(seconds: object = 0, *_: object) -> Exception | None:
    return RuntimeError(_SLEEP) if isinstance(seconds, (int, float)) and seconds > 0 else None


def _thread_start(*_: object) -> Exception:
    return RuntimeError(_THREADS)


# The last one since Python 3.13.
_THREAD_STARTS = [getattr(_thread, name, None) for name in ("start_new_thread", "start_joinable_thread")]
_REPLACED: dict[Any, Callable[..., Any]] = {
    time.sleep: _guarded(time.sleep, _sleep),
    **{function: _guarded(function, _thread_start) for function in _THREAD_STARTS if function},
}
"""What is called instead of a function."""


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    # Every event of Python's comes here: what is not meant must be let through at once.
    if BOUNDARY.running and event in _REFUSALS and _asks(sys._getframe(1)):
        error = _REFUSALS[event](*arguments)
        if error is not None:
            raise error


def _asks(frame: FrameType) -> bool:
    """Tells whether it is the filter's own code that asks, in a callback."""
    for asking in _outwards(frame):
        name = asking.f_code.co_filename
        module = str(asking.f_globals.get("__name__")).partition(".")[0]
        if module in _FOR_ITSELF or name.startswith("<frozen importlib"):
            return False
        if not _is_standard(name):
            return name.startswith(_roots()) and _within(asking) is _CALLBACK
    return False


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame:
        yield frame
        frame = frame.f_back


def _is_standard(name: str) -> bool:
    return name.startswith((_STANDARD, "<frozen ")) and not any(other in name for other in _OTHERS)


def _within(frame: FrameType) -> CodeType | None:
    """Returns which runs: a callback, or in it a host call, which a test may answer in its own way."""
    return next((one.f_code for one in _outwards(frame) if one.f_code in (_CALLBACK, _HOST_CALL)), None)


def _roots() -> tuple[str, ...]:
    """Returns where the filter's modules are."""
    modules = [sys.modules.get(cls.__module__) for cls in _dispatch.root_classes.values()]
    files = [(module.__name__, module.__file__) for module in modules if module and module.__file__]
    return tuple(f"{Path(file).absolute().parents[name.count('.')]}{os.sep}" for name, file in files)
