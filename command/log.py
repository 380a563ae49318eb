"""Envoy's log, as an author of filters reads it: the filter's lines plain, Envoy's own only where something is wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_LINE = re.compile(r"\[\S+ (?P<time>[\d:]+)\.\d+\]\[\d+\]\[(?P<level>\w+)\]\[(?P<logger>\w+)\] \[\S+\] (?P<text>.*)")
FILTERS = re.compile(r"wasm log(?: \S*[^\s:]){0,3}?: (?P<text>.*)", re.DOTALL)
"""A line of a filter's, behind the plugin's name, its root id and the VM's id, as far as they are given."""

_GRAVE = ("error", "critical")
_TELLING = ("wasm", "config", "upstream")  # of other parts of Envoy, a warning is not about the filter
_POLL_SECONDS = 0.05


class Line(NamedTuple):
    """A line worth reading: when, how grave, whose, and what."""

    time: str
    level: str
    """`info` and so on; empty for a line of an access log."""

    from_filter: bool
    text: str


def read(line: str) -> Line | None:
    """Returns a line of Envoy's output, or None for one that tells an author nothing."""
    found = _LINE.fullmatch(line)
    if not found:
        return Line("", "", False, line) if line.strip() else None
    filters = FILTERS.fullmatch(found["text"]) if found["logger"] == "wasm" else None
    if filters:
        return Line(found["time"], found["level"], True, filters["text"])
    shown = found["level"] in _GRAVE or (found["level"] == "warning" and found["logger"] in _TELLING)
    return Line(found["time"], found["level"], False, found["text"]) if shown else None


_AT_START = ("proxy_on_context_create", "proxy_on_vm_start", "proxy_on_configure")
_REFUSES = "Failed to configure base Wasm plugin"
_PREFIX = re.compile(r"(?P<callback>proxy_on_\w+) \(context \d+\): ")
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+)')
_NOT_THE_AUTHORS = ("proxy_wasm/", "python/")
"""The folders of the SDK and of Python's library, in the names of a module's sources."""


def refusal(log: str) -> str:
    """Returns why a filter refused its configuration last, by Envoy's log; empty if none did."""
    before, refused, _ = log.rpartition(_REFUSES)
    if not refused:
        return ""
    lines = []
    for text in reversed(before.splitlines()[:-1]):
        line = read(text)
        if not (line and line.from_filter and line.level in _GRAVE):
            break
        raised = _PREFIX.match(line.text)
        if raised and raised["callback"] not in _AT_START:
            break
        lines.append(line.text[raised.end() :] if raised else line.text)
    if not lines:
        return "on_configure() does not return True"
    frames = [found for found in map(_FRAME.match, lines) if found and not found["file"].startswith(_NOT_THE_AUTHORS)]
    return f"{frames[0]['file']}:{frames[0]['line']}: {lines[0]}" if frames else lines[0]


class Follower(threading.Thread):
    """Reads a log as it grows, and shows each line that is worth it."""

    def __init__(self, log: Path, show: Callable[[Line], None]) -> None:
        super().__init__(daemon=True)
        self._log, self._show = log, show
        self._over = threading.Event()

    def run(self) -> None:
        """Shows lines until `stop`."""
        begun, at = b"", 0
        last = False
        while not last:
            last = self._over.wait(_POLL_SECONDS)
            if not self._log.exists():
                continue
            with self._log.open("rb") as file:
                file.seek(at)
                data = file.read()
            at += len(data)
            *whole, begun = (begun + data).split(b"\n")
            for text in whole:
                if line := read(text.decode(errors="replace")):
                    self._show(line)

    def stop(self) -> None:
        """Shows what is left, and ends."""
        self._over.set()
        self.join()
