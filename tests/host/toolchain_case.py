"""What the toolchain's tests share: the built runtime, and a filter made from a few lines of source."""

from __future__ import annotations

from pathlib import Path

from toolchain.abi import read_abi
from toolchain.snapshot import Snapshot, snapshot
from toolchain.vm.sources import Sources
from toolchain.wasm.format import MEMORY_KIND, Export, Module

RUNTIME = Path("toolchain/runtime.wasm")
COMPILED = Path("toolchain/runtime.cwasm")
INTERPRETER = Path("toolchain/interpreter.wasm")
TRANSLATION = Path("toolchain/runtime.cold")
STDLIB = Path("toolchain/stdlib.zip")
ABI = read_abi(Path("proxy_wasm/abi.toml"))
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
    return snapshot(RUNTIME.read_bytes(), COMPILED, Sources([root, Path()], STDLIB), module, ABI)
