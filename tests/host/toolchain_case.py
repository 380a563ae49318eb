"""What the toolchain's tests share: the built runtime, and a filter made from a few lines of source."""

from __future__ import annotations

from pathlib import Path

from toolchain.abi import read_abi
from toolchain.recipe import filter
from toolchain.recipe.files import RuntimeFiles
from toolchain.recipe.filter import FilterInputs
from toolchain.snapshot import Snapshot
from toolchain.wasm.format import MEMORY_KIND, Export, Module

FILES = RuntimeFiles(Path("toolchain"))
RUNTIME, INTERPRETER, TRANSLATION, STDLIB = FILES.module, FILES.interpreter, FILES.translation, FILES.stdlib
TABLE = Path("proxy_wasm/abi.toml")
ABI = read_abi(TABLE)
TIERS_MEMORY = "the tier's memory"


def with_tiers_memory(tiered: bytes) -> bytes:
    """Returns a tiered module that exports the memory of its cold tier too, as `TIERS_MEMORY`."""
    module = Module(tiered)
    module.put_exports([*module.exports(), Export(TIERS_MEMORY, MEMORY_KIND, 1)])
    return module.encode()


def build(root: Path, files: dict[str, str], module: str = "plugin") -> bytes:
    """Writes these sources below `root` and returns the module that the toolchain makes of them, the SDK within reach."""
    write(root, files)
    return freeze(root, module).module


def write(root: Path, files: dict[str, str]) -> None:
    """Writes these sources below `root`."""
    for name, source in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(source)


def freeze(root: Path, module: str = "plugin") -> Snapshot:
    """Returns what the toolchain makes of a module below `root`, the SDK within reach."""
    return filter.freeze(inputs(root, module))


def inputs(root: Path, module: str = "plugin") -> FilterInputs:
    """Returns what the recipe builds a module below `root` from, the SDK within reach."""
    return FilterInputs(FILES.directory, TABLE, (root, Path()), module)
