"""What a running Envoy holds in memory, as the kernel tells it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = 64 * 1024
"""A page of WebAssembly's linear memory, in bytes."""

# V8 reserves this much address space behind each linear memory, to find an access out of bounds by the page fault it makes.
_GUARD = 1 << 31


def resident(pid: int) -> int:
    """Returns the process's resident memory in bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def linear(pid: int) -> list[int]:
    """Returns the size of each linear memory in bytes: writable memory with V8's reserved address space behind it.

    A VM of a filter with a cold tier has two.
    """
    sizes, writable = [], (0, 0)
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, permissions = line.split(maxsplit=2)[:2]
        start, end = (int(address, 16) for address in addresses.split("-"))
        if permissions.startswith("rw"):
            writable = start, end
        elif permissions.startswith("---") and start == writable[1] and end - start > _GUARD:
            sizes.append(writable[1] - writable[0])
    return sizes
