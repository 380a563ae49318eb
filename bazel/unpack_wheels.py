"""Unpacks wheels into one site directory.

Programs go to `bin`, headers are left out, and modules are compiled, since no Python that Bazel runs writes bytecode.
"""

from __future__ import annotations

import compileall
import py_compile
import re
import sys
import zipfile
from pathlib import Path, PurePosixPath


def unpack(wheel: Path, site: Path, omit: re.Pattern[str] | None) -> None:
    """Unpacks one wheel into `site`, or exits with what is wrong with it."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            parts = PurePosixPath(member.filename).parts
            if member.is_dir() or (omit and omit.fullmatch(member.filename)):
                continue
            if ".." in parts or member.filename.startswith("/"):
                sys.exit(f"{wheel.name}: {member.filename} would land outside of the directory")
            program = False
            if parts[0].endswith(".data"):
                program = parts[1] == "scripts"
                if not program and parts[1] not in ("purelib", "platlib"):
                    continue
                # As `pip install --target` does.
                parts = ("bin", *parts[2:]) if program else parts[2:]
            path = site.joinpath(*parts)
            if path.exists():
                sys.exit(f"{wheel.name}: another wheel has {member.filename} too")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(member))
            path.chmod(0o755 if program or member.external_attr >> 16 & 0o111 else 0o644)


def main(wheels: str, site: str, omit: str) -> None:
    """Unpacks every wheel of the directory `wheels` but the files whose path matches `omit`."""
    for wheel in sorted(Path(wheels).glob("*.whl")):
        unpack(wheel, Path(site), re.compile(omit) if omit else None)
    # A source in a wheel may be a template or a test of syntax errors: what does not compile is not imported either.
    compileall.compile_dir(
        site, quiet=2, stripdir=str(Path.cwd()), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
    )


if __name__ == "__main__":
    main(*sys.argv[1:4])
