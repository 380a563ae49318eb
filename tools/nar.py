"""The hash that Nix knows a directory by: of its archive (NAR), which holds names, contents and which files are programs.

`python3 -m tools.nar DIRECTORY` prints it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def _strings(*strings: bytes) -> bytes:
    return b"".join(len(s).to_bytes(8, "little") + s + bytes(-len(s) % 8) for s in strings)


def _node(path: Path) -> Iterator[bytes]:
    yield _strings(b"(", b"type")
    if path.is_symlink():
        yield _strings(b"symlink", b"target", os.fsencode(path.readlink()))
    elif path.is_dir():
        yield _strings(b"directory")
        for child in sorted(path.iterdir(), key=lambda p: os.fsencode(p.name)):
            yield _strings(b"entry", b"(", b"name", os.fsencode(child.name), b"node")
            yield from _node(child)
            yield _strings(b")")
    else:
        program = (b"executable", b"") if path.stat().st_mode & 0o100 else ()
        yield _strings(b"regular", *program, b"contents", path.read_bytes())
    yield _strings(b")")


def nar_hash(path: Path) -> str:
    """Returns the sha256 of the Nix archive of a file or directory, as `sha256-` and base64."""
    archive = hashlib.sha256(_strings(b"nix-archive-1"))
    for part in _node(path):
        archive.update(part)
    return "sha256-" + base64.b64encode(archive.digest()).decode()


if __name__ == "__main__":
    print(nar_hash(Path(sys.argv[1])))
