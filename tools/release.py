"""Writes a release: the wheel, the modules, their images, what they are made of, and checksums of all.

Usage: python3 -m tools.release OUT VERSION FILE... -- IMAGE...

OUT is a directory. A FILE keeps its name, but a module has the version in it. An IMAGE is an OCI image layout, which becomes one tar file.
The same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

SUMS = "SHA256SUMS"
PUBLISH = "PUBLISH.md"
_HOW = Path("tools/PUBLISH.md")


def _tar(layout: Path, out: Path) -> None:
    """Packs a directory: neither its times nor its owner count."""
    with tarfile.open(out, "w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(path for path in layout.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(path.relative_to(layout).as_posix())
            data = path.read_bytes()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _name(file: Path, version: str) -> str:
    return f"{file.stem}-{version}.wasm" if file.suffix == ".wasm" else file.name


def sums(directory: Path) -> str:
    """Returns the checksums of a directory's files, as `sha256sum` writes them."""
    files = sorted(path for path in directory.iterdir() if path.name != SUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


def write(out: Path, version: str, files: Iterable[Path], images: Iterable[Path]) -> None:
    """Writes the release into a directory that is empty or new."""
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        # Not copy(): permissions do not count.
        shutil.copyfile(file, out / _name(file, version))
    for image in images:
        _tar(image, out / f"filter-{version}-{image.name}.tar")
    how = _HOW.read_text(encoding="utf-8")
    (out / PUBLISH).write_text(how.replace("VERSION", version), encoding="utf-8")
    (out / SUMS).write_text(sums(out), encoding="utf-8")


def main() -> None:
    """Writes the release that the command line names."""
    out, version, *rest = sys.argv[1:]
    separator = rest.index("--")
    write(Path(out), version, map(Path, rest[:separator]), map(Path, rest[separator + 1 :]))


if __name__ == "__main__":
    main()
