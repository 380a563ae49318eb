"""A memo of the toolchain on disk, in the user's cache directory: what was compiled and compressed for one filter serves the next."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from toolchain.memo import Memo
from toolchain.wasm.format import FormatError, Reader, sized

_MOST = 32 << 20
"""So many bytes are kept; a filter needs some four million."""
_DIGEST = hashlib.sha256().digest_size
_held: dict[Path, tuple[tuple[int, int] | None, Memo]] = {}
"""The memo that was used last, and the time and size of its file then."""


@contextlib.contextmanager
def kept(directory: Path, write: bool = True) -> Iterator[Memo]:
    """Reads the memo of a runtime's directory, and writes it, unless that is not wished, if there is more in it at the end of the block."""
    path = directory / f"memo-deflate-{version('deflate')}"
    state, memo = _held.pop(path, (None, {}))
    # What this process has, it need not read again.
    if state is None or state != _state(path):
        memo = _read(path)
    before = set(memo)
    yield memo
    if write and not memo.keys() <= before:
        _write(path, memo)
    _held[path] = _state(path), memo


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _read(path: Path) -> Memo:
    """Returns what was written; nothing if there is no such file, or if it is damaged."""
    try:
        data = path.read_bytes()
        if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            return {}
        reader, memo = Reader(data, _DIGEST), {}
        while reader.more():
            key = reader.take(_DIGEST)
            memo[key] = reader.take(reader.u32())
    except (OSError, FormatError):
        return {}
    return memo


def _write(path: Path, memo: Memo) -> None:
    entries: list[bytes] = []
    size = 0
    # What was used last stands last.
    for key, answer in reversed(list(memo.items())):
        size += len(answer)
        if size > _MOST:
            break
        entries.append(key + sized(answer))
    data = b"".join(reversed(entries))
    # Another process may be at it too: whole files only. Without a place for it, the next build is slower, and that is all.
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        partial.write_bytes(hashlib.sha256(data).digest() + data)
        partial.replace(path)
