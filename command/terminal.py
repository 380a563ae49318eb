"""What a command says to a person: what is being done, warnings and errors, in colour on a terminal that has it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from typing import TextIO, cast

import click

_CLEAR = "\r\033[K"
_COLUMNS = 80


def is_plain() -> bool:
    """Tells whether the user wants neither colours nor a line that is written over: see no-color.org."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def warn(warnings: Sequence[str]) -> None:
    """Shows warnings on standard error."""
    for warning in warnings:
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {warning}", err=True)


def fail(error: object) -> None:
    """Shows an error on standard error."""
    # At the end of the command, click no longer knows by itself whether colours are wanted.
    colour = False if is_plain() else None
    click.echo(f"{click.style('error:', fg='red', bold=True, reset=True)} {error}", err=True, color=colour)


def told(error: OSError) -> str:
    """Returns what the system refused, and where, as far as it is known."""
    what = str(error.strerror or error)
    if error.filename is not None:
        return f"{error.filename}: {what}"
    if any(frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)):
        _give_up_output()
        return f"cannot write the output: {what}"
    return f"{what}; is there room in {tempfile.gettempdir()}?" if error.errno == errno.ENOSPC else what


def _give_up_output() -> None:
    """Lets what is not written yet go nowhere: at its end, Python would complain once more."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """Says what is being done on standard error: on a terminal in one line that goes away again.

    As a context, it lets what others write to standard error begin in a line of its own, and takes its line away at the end. What
    takes longer is said again every some seconds, with the time that it has taken.
    """

    def __init__(self, quiet: bool = False, every_seconds: float = 10.0) -> None:
        self._quiet, self._terminal = quiet, sys.stderr.isatty() and not is_plain()
        self._every_seconds = every_seconds
        self._started = time.monotonic()
        self._over = threading.Event()
        self._repeating: threading.Thread | None = None

    def __enter__(self) -> Progress:
        self._out = sys.stderr
        if self._terminal and not self._quiet:
            sys.stderr = cast(TextIO, _Clearing(self._out))
        return self

    def __exit__(self, *_: object) -> None:
        self._end_step()
        if isinstance(sys.stderr, _Clearing):
            sys.stderr.clear()
        sys.stderr = self._out

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._started

    def __call__(self, text: str) -> None:
        """Says one thing."""
        self._end_step()
        if self._quiet:
            return
        self._show(text)
        self._repeating = threading.Thread(target=self._repeat, args=(text,), daemon=True)
        self._repeating.start()

    def _show(self, text: str) -> None:
        if isinstance(sys.stderr, _Clearing):
            sys.stderr.show(f"{text} ...")
        else:
            click.echo(f"{text} ...", err=True)

    def _repeat(self, text: str) -> None:
        began = time.monotonic()
        with contextlib.suppress(OSError):  # the main thread will meet it too
            while not self._over.wait(self._every_seconds):
                self._show(f"{text}, for {time.monotonic() - began:.0f} s")

    def _end_step(self) -> None:
        if self._repeating:
            self._over.set()
            self._repeating.join()
            self._over.clear()
            self._repeating = None


class _Clearing(io.TextIOBase):
    """A terminal with a line at its end that is written over."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal, self._shown = terminal, False

    def show(self, line: str) -> None:
        """Shows a line, as far as it fits: what is wrapped could not be taken away."""
        self.clear()
        columns = os.get_terminal_size(self._terminal.fileno()).columns or _COLUMNS
        self._terminal.write(line[: columns - 1])
        self._terminal.flush()
        self._shown = True

    def clear(self) -> None:
        """Takes the line away."""
        if self._shown:
            self._terminal.write(_CLEAR)
            self._terminal.flush()
            self._shown = False

    def write(self, text: str) -> int:
        self.clear()
        return self._terminal.write(text)

    def flush(self) -> None:
        self._terminal.flush()

    def isatty(self) -> bool:
        return self._terminal.isatty()

    def fileno(self) -> int:
        return self._terminal.fileno()
