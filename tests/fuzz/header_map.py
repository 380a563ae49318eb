"""Header maps from the proxy: whatever the bytes, `parse` returns pairs that are in them, or raises ValueError."""

from __future__ import annotations

from proxy_wasm._maps import parse, serialize


def check(data: bytes) -> None:
    """Parses `data`; raises AssertionError where the contract does not hold."""
    try:
        pairs = parse(data)
    except ValueError as error:
        assert str(error).startswith("header map: ")
        return
    assert parse(serialize(pairs)) == pairs
    # What follows the last text is nobody's; all before it is told.
    assert not data or data.startswith(serialize(pairs))
