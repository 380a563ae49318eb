"""Waiting for what a proxy does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(found: Callable[[], object], seconds: float = 5.0, pause: float = 0.02) -> bool:
    """Waits until something is so, and tells whether it came to be; asks again after each pause."""
    deadline = time.monotonic() + seconds
    while not found():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True
