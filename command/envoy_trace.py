"""What a real Envoy says that it did with a filter: each callback, each host call and each logged line of its worker, in order.

Envoy writes them into its log at the level `trace`. The values that lie in the module's memory are not among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from command.log import FILTERS
from proxy_wasm.testing.failures import Failures

_BEGIN = b"\x1e"
"""What an entry of the log begins with, so that it may have several lines."""

ARGUMENTS = ("--log-format", f"{_BEGIN.decode()}%t %l %n %v", "--component-log-level", "wasm:trace")
"""What Envoy is started with for its log to be read here."""

_ENTRY = re.compile(r"(\d+) (\w+) (\w+) (.*)", re.DOTALL)
_CALLED = re.compile(r"\[host->vm\] (proxy_on_\w+)\((.*)\)")
_RETURNED = re.compile(r"\[host<-vm\] (proxy_on_\w+) return: (\w+)")
_ASKED = re.compile(r"\[vm->host\] env\.(proxy_\w+)\((.*)\)")
_ANSWERED = re.compile(r"\[vm<-host\] env\.(proxy_\w+) return: (\d+)")
_LEVELS = {"trace": 0, "debug": 1, "info": 2, "warning": 3, "error": 4, "critical": 5}


@dataclass
class Callback:
    """A callback as Envoy made it. `result` is None until it returns, and for one without a result."""

    name: str
    arguments: tuple[int, ...]
    result: int | None = None


@dataclass
class HostCall:
    """A host call as the filter made it, for a context; `status` is the ABI's, 0 if it worked."""

    context_id: int
    name: str
    arguments: tuple[int, ...]
    status: int | None = None


class Trace:
    """Reads an Envoy's log as it grows; of several threads it keeps what the worker does."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._at = 0
        self._begun = b""
        self._main = ""
        self._open: list[Callback] = []
        self._asked: list[HostCall] = []
        self._effective = 0
        self.callbacks: list[Callback] = []
        self.host_calls: list[HostCall] = []
        self.logs: list[tuple[int, str]] = []
        """The filter's lines, each with its level."""

        self.failures = Failures()

    def read(self) -> None:
        """Reads what has come since it was last called."""
        with self._log.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        self._at += len(data)
        # An entry is whole when its line ends: of the last one nothing more can be known.
        *whole, self._begun = (self._begun + data).split(_BEGIN)
        if self._begun.endswith(b"\n"):
            whole, self._begun = [*whole, self._begun], b""
        for entry in whole:
            self._take(entry.decode(errors="replace").removesuffix("\n"))

    def _take(self, entry: str) -> None:
        found = _ENTRY.fullmatch(entry)
        if not found:
            return
        thread, level, logger, text = found.groups()
        self._main = self._main or thread
        if logger != "wasm" or thread == self._main:
            return
        if logged := FILTERS.fullmatch(text):
            self.logs.append((_LEVELS[level], logged["text"]))
            self.failures.read(*self.logs[-1])
        elif called := _CALLED.fullmatch(text):
            self._call(Callback(called[1], _numbers(called[2])))
        elif returned := _RETURNED.fullmatch(text):
            self._return(returned[2])
        elif asked := _ASKED.fullmatch(text):
            self._ask(asked[1], _numbers(asked[2]))
        elif answered := _ANSWERED.fullmatch(text):
            self._asked.pop().status = int(answered[2])

    def _call(self, callback: Callback) -> None:
        self._open.append(callback)
        self.callbacks.append(callback)

    def _return(self, result: str) -> None:
        callback = self._open.pop()
        callback.result = int(result) if result.isdigit() else None
        if not self._open:
            self._effective = 0

    def _ask(self, name: str, arguments: tuple[int, ...]) -> None:
        if name == "proxy_set_effective_context":
            self._effective = arguments[0]
        outermost = self._open[0].arguments[0] if self._open else 0
        call = HostCall(self._effective or outermost, name, arguments)
        self._asked.append(call)
        self.host_calls.append(call)

    def of_context(self, context_id: int, name: str) -> list[HostCall]:
        """Returns a context's host calls of a name, those that worked."""
        return [call for call in self.host_calls if (call.context_id, call.name, call.status) == (context_id, name, 0)]

    def made(self, name: str) -> Iterator[HostCall]:
        """Yields all host calls of a name that worked."""
        return (call for call in self.host_calls if (call.name, call.status) == (name, 0))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(", ") if number)
