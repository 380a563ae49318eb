"""Answers that depend on their question alone, kept from build to build: what was compiled or compressed once need not be again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, MutableMapping

Memo = MutableMapping[bytes, bytes]
"""Answers by the digest of their questions. Who keeps one must keep it apart for each runtime, and for each libdeflate."""


def answered(memo: Memo | None, kind: str, question: bytes, ask: Callable[[], bytes]) -> bytes:
    """Returns the answer to a question of some kind, which is asked if it never was before, or if there is no memo."""
    if memo is None:
        return ask()
    key = hashlib.sha256(kind.encode() + b"\0" + question).digest()
    found = memo.get(key)
    if found is None:
        found = ask()
    # What was used last is the last: so a memo can forget what nobody asks for any more.
    memo.pop(key, None)
    memo[key] = found
    return found
