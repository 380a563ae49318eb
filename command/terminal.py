"""What a command says to a person: what is being done, warnings and errors, in colour on a terminal that has it."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence

import click


def is_plain() -> bool:
    """Tells whether the user wants neither colours nor a line that is written over: see no-color.org."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def warn(warnings: Sequence[str]) -> None:
    """Shows warnings on standard error."""
    for warning in warnings:
        click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {warning}", err=True)


def fail(error: object) -> None:
    """Shows an error on standard error."""
    click.echo(f"{click.style('error:', fg='red', bold=True, reset=True)} {error}", err=True)


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
    """Says what is being done on standard error: on a terminal in one line that goes away again."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._terminal = quiet, sys.stderr.isatty() and not is_plain()
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._started

    def __call__(self, text: str) -> None:
        """Says one thing."""
        if not self._quiet:
            click.echo(f"\r\033[K{text} ..." if self._terminal else f"{text} ...", err=True, nl=not self._terminal)

    def clear(self) -> None:
        """Takes the line away."""
        if self._terminal and not self._quiet:
            click.echo("\r\033[K", err=True, nl=False)
