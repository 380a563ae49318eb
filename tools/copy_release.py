"""Copies the release into `dist/`, checks it there, and says how to publish it: `./bazelw run //:release`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tools.release import PUBLISH, SUMS, sums

BUILT = Path("release")


def copy(built: Path, dist: Path) -> str:
    """Replaces what is in `dist` and returns its checksums; exits if a file is not what was released."""
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir(parents=True)
    for file in sorted(built.iterdir()):
        shutil.copyfile(file, dist / file.name)
    expected, found = (dist / SUMS).read_text(encoding="utf-8"), sums(dist)
    if found != expected:
        sys.exit(f"error: {dist} is not what was released:\n{found}")
    return found


def main() -> None:
    """Copies, and prints the checksums."""
    dist = Path(os.environ["PROXY_WASM_WORKSPACE"], "dist")
    print(copy(BUILT, dist), end="")
    print(f"\nNothing is published. {dist / PUBLISH} says how to publish these files.")


if __name__ == "__main__":
    main()
