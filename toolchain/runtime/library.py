"""The standard library as filters can import it late: what each module imports and names, and its code, stripped and compressed.

It is worked out once for a runtime, since it takes half a minute, and lies in the library's archive beside the sources.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from toolchain.vm.builder import Compiler
from toolchain.vm.late import Import
from toolchain.vm.sources import LATE, LATE_INDEX, Sources

DICTIONARY = ("copy", "encodings.cp437", "encodings.utf_16", "encodings.big5", "encodings.cp1252")
"""Modules that are like many others: their code is what the compression knows beforehand."""


def dictionary(sources: Sources, compiler: Compiler) -> bytes:
    """Returns what `boot.set_dictionary` takes."""
    return compiler.pack(b"".join(compiler.answer(sources.find(name)) for name in DICTIONARY))


def add_late(stdlib: Path, compiler: Compiler) -> None:
    """Adds to the library's archive what can be imported late of it."""
    sources = Sources([], stdlib)
    builtin = compiler.builtin_names()
    imports = {name: compiler.imports(found) for name in sources.names() if (found := sources.find(name)) is not None}
    names = _importable(imports, set(builtin))
    parts = {name: compiler.parts(found) for name in names if (found := sources.find(name)) is not None}
    index = {"builtin": builtin, "imports": {name: imports[name] for name in names}, "parts": parts}
    with zipfile.ZipFile(stdlib, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LATE_INDEX), json.dumps(index, separators=(",", ":")))
        for name in names:
            archive.writestr(zipfile.ZipInfo(f"{LATE}{name}"), compiler.packed(sources.find(name)))


def _importable(imports: dict[str, list[Import]], builtin: set[str]) -> list[str]:
    """Returns the modules that do not need, when they are imported, one that is not there."""
    names = set(imports)
    while True:
        there = names | builtin
        broken = {name for name in names if any(_fails(entry, there) for entry in imports[name])}
        # Without its package a module is not there either.
        broken |= {name for name in names if "." in name and name.rpartition(".")[0] not in names}
        if not broken:
            return sorted(names)
        names -= broken


def _fails(entry: Import, there: set[str]) -> bool:
    # A package may make a module itself, as os makes os.path and collections makes collections.abc.
    found = entry.module in there or entry.module.rpartition(".")[0] in there
    return not (entry.late or entry.optional or entry.level or entry.instead or found)
