"""Waiting for what a proxy does in its own time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(found: Callable[[], object], seconds: float = 5.0) -> bool:
    """Waits until something is so, and tells whether it came to be."""
    deadline = time.monotonic() + seconds
    while not found():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
