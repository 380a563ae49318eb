"""What a long run shows on standard error: one line for each stage."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator


class Progress:
    """One line for each stage on standard error, with the time that it took; on a terminal it moves while the stage runs."""

    def __init__(self, stages: int) -> None:
        self._stages, self._number = stages, 0
        self._moving = sys.stderr.isatty()

    @contextlib.contextmanager
    def stage(self, text: str) -> Iterator[Callable[[float], None]]:
        """Announces a stage; what it gives takes the share of it that is done."""
        self._number += 1
        text = f"[{self._number:2}/{self._stages}] {text}"
        started, share, over = time.monotonic(), [0.0], threading.Event()

        def show() -> None:
            while not over.wait(0.2):
                bar = "█" * round(share[0] * 20) if share[0] else ""
                seconds = time.monotonic() - started
                print(f"\r\033[K{text} {bar:░<20} {seconds:.0f} s", end="", file=sys.stderr, flush=True)

        def done(part: float) -> None:
            share[0] = part

        display = threading.Thread(target=show, daemon=True)
        if self._moving:
            display.start()
        else:
            print(f"{text} ...", file=sys.stderr, flush=True)
        try:
            yield done
        finally:
            over.set()
            if self._moving:
                display.join()
                print("\r\033[K", end="", file=sys.stderr)
        print(f"{text}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
