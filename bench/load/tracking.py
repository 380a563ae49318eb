"""The kernel's connection tracking, which a firewall or a container engine turns on: full, it drops packets without a word.

Each connection through the proxy takes two entries, and one of them stays for two minutes after its end. So a run at full speed can fill
the table by itself, and what is measured then is the table.
"""

from __future__ import annotations

import time
from pathlib import Path

_DIRECTORY = Path("/proc/sys/net/netfilter")
_SHARE = 0.8
SECONDS = 240.0
"""How long to wait for room: twice as long as the kernel remembers a connection."""


class TrackingError(Exception):
    """There is no room; the text says what to do."""


def entries() -> tuple[int, int] | None:
    """Returns how many connections are tracked, and how many can be; None where none are."""
    try:
        return tuple(int((_DIRECTORY / f"nf_conntrack_{name}").read_text()) for name in ("count", "max"))  # type: ignore[return-value]
    except OSError:
        return None


def wait_for_room(connections: int, seconds: float = SECONDS) -> None:
    """Waits until the table has room for some connections through the proxy; raises TrackingError if it gets none."""
    deadline = time.monotonic() + seconds
    while found := entries():
        count, most = found
        # Of one that is larger than the table ever is, only half of it is asked.
        if count + min(2 * connections, most // 2) <= _SHARE * most:
            return
        if time.monotonic() > deadline:
            raise TrackingError(
                f"the kernel tracks {count} connections of at most {most} and drops what is beyond; stop what makes them, or raise "
                "net.netfilter.nf_conntrack_max with sysctl"
            )
        time.sleep(0.5)
