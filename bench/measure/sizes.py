"""How big a module is, by section."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path

from toolchain.wasm import format as wasm

SECTIONS = {
    wasm.TYPE: "types",
    wasm.IMPORT: "imports",
    wasm.FUNCTION: "functions",
    wasm.TABLE: "table",
    wasm.MEMORY: "memory",
    wasm.GLOBAL: "globals",
    wasm.EXPORT: "exports",
    wasm.ELEMENT: "elements",
    wasm.CODE: "code",
    wasm.DATA: "data",
    0: "custom",
}


@dataclass
class Size:
    """A module's digest, and its bytes: of the file, deflated, and by section; `pages` is what its memories have at the start."""

    sha256: str
    total: int
    deflated: int
    sections: dict[str, int]
    functions: int
    pages: int


def measure(module: Path) -> Size:
    """Returns a module's size; raises FormatError for anything else."""
    code = module.read_bytes()
    parsed = wasm.Module(code)
    sections: dict[str, int] = {}
    for number, body in parsed.sections:
        name = SECTIONS.get(number, "other")
        sections[name] = sections.get(name, 0) + len(body)
    memory = wasm.Reader(parsed.get(wasm.MEMORY))
    pages = sum(wasm.read_limits(memory) for _ in memory.repeat())
    return Size(
        hashlib.sha256(code).hexdigest(),
        len(code),
        len(zlib.compress(code, 9)),
        sections,
        wasm.Reader(parsed.get(wasm.FUNCTION)).u32(),
        pages,
    )
