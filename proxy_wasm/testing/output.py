"""Where Python's own output goes: into the filter's log while a callback runs, and to where the test's goes at all other times."""

from __future__ import annotations

import bdb
import logging
import pdb
import sys
from collections.abc import Callable
from typing import Any

_interaction = pdb.Pdb.interaction


class GuestOutput:
    """The streams and log handlers of a filter in this process, kept from one callback to the next.

    A debugger that stops in a callback has the streams of the test.
    """

    def __init__(self) -> None:
        self._runs = False
        self._streams: tuple[Any, Any] | None = None
        self._put_by: tuple[Any, Any] | None = None
        self._added: list[logging.Handler] = []
        self._removed: list[logging.Handler] = []
        self._level: int | None = None
        self._quit: BaseException | None = None

    def run(self, function: Callable[..., int | None], *arguments: Any) -> int | None:
        """Calls a function of the filter, and returns its result."""
        if self._runs:
            return function(*arguments)
        self._enter()
        try:
            result = function(*arguments)
        finally:
            self._leave()
        left, self._quit = self._quit, None
        if left is not None:
            raise left
        return result

    def _enter(self) -> None:
        # pytest has other streams and handlers in a fixture than in its test.
        self._outer = sys.stdout, sys.stderr
        root = logging.getLogger()
        self._outer_handlers, self._outer_level = root.handlers[:], root.level
        sys.stdout, sys.stderr = self._streams or self._outer
        root.handlers[:] = [*(one for one in root.handlers if one not in self._removed), *self._added]
        _set_level(root, self._outer_level if self._level is None else self._level)
        # `breakpoint()` calls it too, unless something else was set in its place.
        self._debugger = pdb.set_trace, pdb.Pdb.interaction
        pdb.set_trace, pdb.Pdb.interaction = _Hook(self, pdb.set_trace), self._interaction()  # type: ignore
        self._runs = True

    def _leave(self) -> None:
        self._runs = False
        pdb.set_trace, pdb.Pdb.interaction = self._debugger  # type: ignore[method-assign]
        root = logging.getLogger()
        self._streams, self._level = (sys.stdout, sys.stderr), root.level
        self._added = [one for one in root.handlers if one not in self._outer_handlers]
        self._removed = [one for one in self._outer_handlers if one not in root.handlers]
        sys.stdout, sys.stderr = self._outer
        root.handlers[:] = self._outer_handlers
        _set_level(root, self._outer_level)

    def outside(self) -> None:
        """Takes the test's streams, until a debugger's prompt is left."""
        if self._put_by is None:
            self._put_by = sys.stdout, sys.stderr
            sys.stdout, sys.stderr = self._outer

    def _interaction(self) -> Callable[..., None]:
        def interaction(debugger: pdb.Pdb, *arguments: Any) -> None:
            self.outside()
            if self._put_by and debugger.stdout is self._put_by[0]:
                debugger.stdout = sys.stdout
            try:
                _interaction(debugger, *arguments)
                self._quit = bdb.BdbQuit() if debugger.quitting else None
            except BaseException as error:
                # It would be the filter's exception, for its failure policy to decide.
                self._quit = error
                raise
            finally:
                # pytest may have ended or begun its capturing.
                self._outer = sys.stdout, sys.stderr
                sys.stdout, sys.stderr = self._put_by or self._outer
                self._put_by = None

        return interaction


class _Hook:
    """A function that starts the debugger, after the streams were exchanged.

    The function looks for its caller's frame. So nothing of Python may be between: the attribute `__call__` is read, and what that
    gives is called.
    """

    def __init__(self, output: GuestOutput, function: Callable[..., Any]) -> None:
        self._output, self._function = output, function

    @property
    def __call__(self) -> Callable[..., Any]:
        self._output.outside()
        return self._function


def _set_level(logger: logging.Logger, level: int) -> None:
    # It forgets what all loggers know of levels.
    if logger.level != level:
        logger.setLevel(level)
