"""What a filter's callbacks raised, as its log has it: the lines of a traceback begin with the callback and the context."""

from __future__ import annotations

import re

_ERROR = 4  # the ABI's log level
_LINE = re.compile(r"(?P<about>(?P<callback>proxy_on_\w+) \(context \d+\): )(?P<text>.*)", re.DOTALL)
_BEGINS = re.compile(r"[+ ]*(Exception Group )?Traceback \(most recent call last\):")
_ANSWERED = ("proxy_on_vm_start", "proxy_on_configure")
"""The callbacks whose exception a test sees in what they answer: False."""


class Failures(list[str]):
    """The tracebacks of a VM, each of several lines."""

    _about = _last = ""

    def read(self, level: int, line: str) -> None:
        """Takes a line of the filter's log; of a traceback it becomes a part."""
        found = _LINE.fullmatch(line) if level == _ERROR else None
        if found is None or found["callback"] in _ANSWERED:
            self._about = ""
            return
        # An exception has its cause before itself, with an empty line and a sentence between.
        begins = _BEGINS.match(found["text"]) and self._last.strip()
        if found["about"] != self._about or begins or not self:
            self.append(line)
        else:
            self[-1] += "\n" + line
        self._about, self._last = found["about"], found["text"]
