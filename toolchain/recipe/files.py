"""A runtime on disk: a directory of files with fixed names. `recipe/runtime.py` writes it, and `recipe/filter.py` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolchain.tools import ToolchainError


@dataclass(frozen=True)
class RuntimeFiles:
    """The files of a runtime, in a directory."""

    directory: Path

    @property
    def component(self) -> Path:
        """What componentize-py makes. It is there only between two steps of the recipe."""
        return self.directory / "component.wasm"

    @property
    def module(self) -> Path:
        """CPython as a core module, into which filters are frozen."""
        return self.directory / "runtime.wasm"

    @property
    def names(self) -> Path:
        """The names of its functions, by index: a line each."""
        return self.directory / "runtime.names"

    @property
    def builtins(self) -> Path:
        """What only some of its modules of C need (`vm/builtins.py`)."""
        return self.directory / "runtime.builtins"

    @property
    def stdlib(self) -> Path:
        """CPython's standard library, a zip file."""
        return self.directory / "stdlib.zip"

    @property
    def interpreter(self) -> Path:
        """The cold tier's interpreter, a core module."""
        return self.directory / "interpreter.wasm"

    @property
    def translation(self) -> Path:
        """The runtime's functions in the form that this interpreter runs."""
        return self.directory / "runtime.cold"

    @property
    def compiled(self) -> Path:
        """The runtime, compiled for one machine. It may be missing: then each build of a filter compiles it."""
        return self.directory / "runtime.cwasm"

    def read(self, path: Path) -> bytes:
        """Returns one of these files, or raises `ToolchainError`."""
        try:
            return path.read_bytes()
        except OSError as error:
            raise ToolchainError(
                f"cannot read {path}: {error.strerror}; `python -m toolchain runtime --out {self.directory}` writes it"
            ) from None


def written(path: Path, data: bytes) -> str:
    """Writes a file, in a directory that is made if it is missing, and returns a text that says so; raises `ToolchainError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ToolchainError(f"cannot write {path}: {error.strerror}") from None
    return f"wrote {path}, {len(data):,} bytes"
