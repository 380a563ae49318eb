"""Programs that a command runs, and what becomes of them if the user ends the command: each removes its temporary folders first."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 30.0
"""How long a program may take to clean up."""
_PATIENCE_SECONDS = 3.0
"""How long it may take after Ctrl-C until the user is told."""


def raise_on_sigterm() -> None:
    """Lets the blocks of this program that clean up do so on SIGTERM too. In another thread than the main one it does nothing."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def run_in_foreground(command: Sequence[str]) -> int:
    """Runs a program with this one's terminal, whose Ctrl-C it gets by itself; returns its exit status.

    A callback that never returns hears of no Ctrl-C. A program that does not end by the first one is killed by the next.
    """
    process = subprocess.Popen(command)
    patience: float | None = None
    told = False
    while True:
        try:
            try:
                return process.wait(patience)
            except subprocess.TimeoutExpired:
                # The next Ctrl-C may come while the user is told.
                patience, told = None, True
                print("\nstill running: a callback that loops hears of no Ctrl-C; once more ends it", file=sys.stderr)
        except KeyboardInterrupt:
            if told:
                process.kill()
                process.wait()
                return 128 + signal.SIGINT
            patience = _PATIENCE_SECONDS
        except SystemExit:
            _end(process)
            raise


def run_quietly(command: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program and keeps what it writes. It ends with this one."""
    process = subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Of the terminal it would get Ctrl-C too: twice is once too often, since the second one ends its cleaning up.
        start_new_session=True,
    )
    try:
        out, errors = process.communicate()
    except BaseException:
        _end(process)
        raise
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def _end(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
