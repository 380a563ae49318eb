"""Header maps from the proxy: whatever the bytes, `parse` returns pairs that are in them, or raises ValueError."""

from __future__ import annotations

import struct

from proxy_wasm._maps import parse


def written(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Writes a map as the ABI does, whatever is in its texts; `serialize` would refuse what cannot be in a header."""
    sizes = b"".join(struct.pack("<II", len(name), len(value)) for name, value in pairs)
    return struct.pack("<I", len(pairs)) + sizes + b"".join(b"%b\0%b\0" % pair for pair in pairs)


def check(data: bytes) -> None:
    """Parses `data`; raises AssertionError where the contract does not hold."""
    try:
        pairs = parse(data)
    except ValueError as error:
        assert str(error).startswith("header map: ")
        return
    assert parse(written(pairs)) == pairs
    # What follows the last text is nobody's; all before it is told.
    assert not data or data.startswith(written(pairs))
