"""What can be imported while a filter is built: its own roots first, then the standard library."""

from __future__ import annotations

import json
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from toolchain.cpython.start import MENDED
from toolchain.tools import ToolchainError, read

LATE, LATE_INDEX = "late/", "late.json"
"""Members of the library's archive: the packed modules, and what they import (library.py)."""
_ZONES = "tzdata/zoneinfo"


class Found(NamedTuple):
    """A module's kind (P package, M module, N namespace package), origin and source, and whether it is the standard library's."""

    kind: str
    origin: str
    source: bytes
    standard: bool


class Sources:
    """The filter's roots and the standard library's archive."""

    def __init__(self, roots: list[Path], stdlib: Path) -> None:
        self.roots = roots
        try:
            self.archive = zipfile.ZipFile(stdlib)
        except (OSError, zipfile.BadZipFile) as error:
            raise ToolchainError(f"cannot read the standard library {stdlib}: {error}") from None
        self._sources: dict[str, bytes] = {}
        self._found: dict[str, Found | None] = {}
        self._tops = [
            (root, {found.name.partition(".")[0] for found in root.iterdir()} if root.is_dir() else set())
            for root in roots
        ]
        self.missed: set[str] = set()
        self.members = set(self.archive.namelist())

    def find(self, name: str) -> Found | None:
        """Returns a module by its name, or None."""
        # The files of a build do not change while it runs.
        if name not in self._found:
            self._found[name] = self._find(name)
        found = self._found[name]
        if found is None:
            self.missed.add(name)
        else:
            self._sources[found.origin] = found.source
        return found

    def _find(self, name: str) -> Found | None:
        path = name.replace(".", "/")
        candidates = (("P", f"{path}/__init__.py"), ("M", f"{path}.py"))
        top = name.partition(".")[0]
        roots = [root for root, tops in self._tops if top in tops]
        for root in roots:
            for kind, candidate in candidates:
                if (root / candidate).is_file():
                    return Found(kind, candidate, read(root / candidate), False)
        for kind, candidate in candidates:
            if candidate in self.members:
                return Found(kind, f"python/{candidate}", self._mended(candidate), True)
        if any((root / path).is_dir() for root in roots):
            return Found("N", "", b"", False)
        return None

    def names(self) -> list[str]:
        """Returns the names of all modules of the standard library."""
        paths = (name.removesuffix(".py").removesuffix("/__init__") for name in self.members if name.endswith(".py"))
        names = sorted(path.replace("/", ".") for path in paths if not path.startswith("frozen/"))
        return [name for name in names if all(part.isidentifier() for part in name.split("."))]

    @cached_property
    def late_index(self) -> dict[str, Any]:
        """What library.py has found in the standard library."""
        found: dict[str, Any] = json.loads(self.archive.read(LATE_INDEX)) if LATE_INDEX in self.members else {}
        return found

    def packed(self, name: str) -> bytes:
        """Returns a module of the standard library as library.py packed it."""
        return self.archive.read(f"{LATE}{name}")

    def compiled(self, name: str) -> str | None:
        """Returns a sentence about a module that is machine code in the filter's roots, or None."""
        path = Path(name.replace(".", "/"))
        for root in self.roots:
            for found in sorted((root / path.parent).glob(f"{path.name}.*")):
                if found.name.endswith((".so", ".pyd")):
                    return f"{name} is compiled ({path.parent / found.name}); only pure Python fits"
        return None

    def zone(self, key: str) -> bytes:
        """Returns a time zone of the package tzdata, or nothing."""
        path = next((root / _ZONES / key for root in self.roots if (root / _ZONES / key).is_file()), None)
        return read(path) if path is not None and ".." not in path.parts else b""

    def zones(self) -> dict[bytes, list[str]]:
        """Returns the time zones of the package tzdata, each with all of its names; none if no root has the package."""
        top = next((root / _ZONES for root in self.roots if (root / _ZONES).is_dir()), None)
        zones: dict[bytes, list[str]] = {}
        if top is not None:
            for path in sorted(path for path in top.rglob("*") if path.is_file()):
                data = read(path)
                if data.startswith(b"TZif"):
                    zones.setdefault(data, []).append(path.relative_to(top).as_posix())
        return zones

    def _mended(self, member: str) -> bytes:
        source = self.archive.read(member)
        for wrong, right in MENDED.get(member, {}).items():
            if source.count(wrong) != 1:
                raise ToolchainError(
                    f"{member} of the standard library is not what cpython/start.py mends; look at it again"
                )
            source = source.replace(wrong, right)
        return source

    def source(self, origin: str) -> bytes:
        """Returns the source of a module that was found, by its origin."""
        return self._sources.get(origin, b"")

    def frozen(self, name: str) -> bytes:
        """Returns the marshalled code of a module that CPython needs before it can import anything."""
        return self._frozen(name)

    def frozen_source(self, name: str) -> bytes:
        """Returns the title and the source of such a module, with a NUL between them."""
        return self._frozen(f"{name}.py")

    def _frozen(self, name: str) -> bytes:
        try:
            return self.archive.read(f"frozen/{name}")
        except KeyError:
            raise ToolchainError(f"{self.archive.filename} has no code of {name}: build it anew") from None
