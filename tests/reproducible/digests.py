"""The committed digests of what is built, and how to bring them up to date: `./bazelw run //tests/reproducible:update`."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

BUILT = [Path("filter/filter.wasm"), Path("toolchain/runtime.wasm"), Path("wheel/proxy_wasm-0.1.0-py3-none-any.whl")]
UPDATE = "./bazelw run //tests/reproducible:update"


def committed(built: Path) -> Path:
    """Returns the file that holds a built file's digest, as `sha256sum` writes it."""
    return built.with_name(built.name + ".sha256")


def digest(built: Path) -> str:
    """Returns the sha256 of a built file, in hexadecimal."""
    return hashlib.sha256(built.read_bytes()).hexdigest()


def main() -> None:
    """Writes the digests of what was just built into the workspace."""
    workspace = Path(os.environ["PROXY_WASM_WORKSPACE"])
    for built in BUILT:
        (workspace / committed(built)).write_text(f"{digest(built)}  {built.name}\n")
        print(f"{committed(built)}: {digest(built)}")


if __name__ == "__main__":
    main()
