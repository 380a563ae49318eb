"""What can be imported while a filter is built: its own roots first, then the standard library."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

from toolchain.tools import ToolchainError, read


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
        self.members = set(self.archive.namelist())

    def find(self, name: str) -> Found | None:
        """Returns a module by its name, or None."""
        found = self._find(name)
        if found is not None:
            self._sources[found.origin] = found.source
        return found

    def _find(self, name: str) -> Found | None:
        path = name.replace(".", "/")
        candidates = (("P", f"{path}/__init__.py"), ("M", f"{path}.py"))
        for root in self.roots:
            for kind, candidate in candidates:
                if (root / candidate).is_file():
                    return Found(kind, candidate, read(root / candidate), False)
        for kind, candidate in candidates:
            if candidate in self.members:
                return Found(kind, f"python/{candidate}", self.archive.read(candidate), True)
        if any((root / path).is_dir() for root in self.roots):
            return Found("N", "", b"", False)
        return None

    def source(self, origin: str) -> bytes:
        """Returns the source of a module that was found, by its origin."""
        return self._sources.get(origin, b"")

    def frozen(self, name: str) -> bytes:
        """Returns the marshalled code of a module that the interpreter needs before it can import anything."""
        return self._frozen(name)

    def frozen_source(self, name: str) -> bytes:
        """Returns the title and the source of such a module, with a NUL between them."""
        return self._frozen(f"{name}.py")

    def _frozen(self, name: str) -> bytes:
        try:
            return self.archive.read(f"frozen/{name}")
        except KeyError:
            raise ToolchainError(f"{self.archive.filename} has no code of {name}: build it anew") from None
