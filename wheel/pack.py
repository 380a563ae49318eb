"""Packs the wheel `proxy-wasm`: the SDK, its command, what builds a filter, and the runtime.

The bytes are the same whatever the sources' times, permissions and order, and whichever zlib the machine has: members are stored, and
the runtime's files are compressed by libdeflate before.

Usage: python3 -m wheel.pack OUT PYPROJECT [--root ROOT] [--source FILE ...] --runtime FILE ...

Without --source, it takes from the repository what belongs into the wheel. Bazel names the files, since its actions have no others.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

import deflate
from hatchling.builders.wheel import WheelBuilder

TOOLS = "proxy_wasm/_tools"
"""Where the wheel has what is no part of the SDK: a wheel must not bring a top-level package by a name like `toolchain`."""

_TOOL_FOLDERS = ("command", "envoy", "oci", "toolchain")
_CONTENTS = (
    "LICENSE",
    "command/*.py",
    "command/templates/*",
    "envoy/__init__.py",
    "envoy/configuration.py",
    "envoy/discovery.py",
    "envoy/process.py",
    "oci/*.py",
    "proxy_wasm/*.py",
    "proxy_wasm/*.toml",
    "proxy_wasm/README.md",
    "proxy_wasm/py.typed",
    "proxy_wasm/stubs/*.pyi",
    "toolchain/*.py",
    "wheel/licenses/*.txt",
)
_NO_CONTENTS = (
    # These are programs of this repository, and not of the wheel.
    "oci/__main__.py",
    "toolchain/__main__.py",
    # A runtime is made here, and comes with the wheel.
    "toolchain/boot/*",
    "toolchain/recipe/runtime.py",
    "toolchain/runtime/*",
)
_MACHINES_OWN = ".cwasm"
"""What was compiled for this machine is not for others."""

_LICENSES = "wheel/licenses/"
_STUBS = "proxy_wasm/stubs/_proxy_wasm.pyi"
_MOVED = {
    # By its own name, a type checker would not look for it.
    _STUBS: ("_proxy_wasm-stubs/__init__.pyi",),
    "LICENSE": ("LICENSE",),
    # `python -m proxy_wasm` is the command.
    "command/__main__.py": (f"{TOOLS}/command/__main__.py", "proxy_wasm/__main__.py"),
}
_IMPORT = re.compile(rf"^( *from )((?:{'|'.join(_TOOL_FOLDERS)})(?:\.\w+)* import )", re.MULTILINE)
_LEVEL = 12  # libdeflate's highest
# The first moment that a zip file can hold.
_EPOCH = "315532800"


def belongs(source: str) -> bool:
    """Tells whether a file of this repository, by its path there, is to be in the wheel."""
    return _matches(source, _CONTENTS) and not _matches(source, _NO_CONTENTS)


def _matches(source: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(source, pattern) for pattern in patterns)


def contents(root: Path) -> list[Path]:
    """Returns the files below the repository's root that belong into the wheel."""
    tops = sorted({pattern.partition("/")[0] for pattern in _CONTENTS})
    files = [path for top in tops for path in [root / top, *(root / top).rglob("*")] if path.is_file()]
    return [path for path in files if belongs(path.relative_to(root).as_posix())]


def places(source: str) -> tuple[str, ...]:
    """Returns where the wheel has a file of this repository; raises `ValueError` for one that does not belong into it."""
    if not belongs(source):
        raise ValueError(f"{source} does not belong into the wheel: wheel/pack.py says what does")
    if source in _MOVED:
        return _MOVED[source]
    if source.startswith(_LICENSES):
        return (source.removeprefix("wheel/"),)
    return (f"{TOOLS}/{source}",) if source.partition("/")[0] in _TOOL_FOLDERS else (source,)


def renamed(source: str, text: str) -> str:
    """Returns a module with its imports as they are in the wheel; the SDK itself is the same bytes, for it is frozen into filters."""
    return text if source.startswith("proxy_wasm/") else _IMPORT.sub(rf"\1{TOOLS.replace('/', '.')}.\2", text)


def _lay_out(project: Path, root: Path, sources: Iterable[Path], runtime: Iterable[Path]) -> None:
    tools = project / TOOLS
    (tools / "runtime").mkdir(parents=True)
    (tools / "__init__.py").write_text('"""What builds, runs and checks filters: no part of the SDK."""\n')
    for source in sources:
        name = source.relative_to(root).as_posix()
        for place in places(name):
            target = project / place
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == ".py":
                target.write_text(renamed(name, source.read_text(encoding="utf-8")), encoding="utf-8")
            else:
                # Not copy(): permissions do not count either.
                shutil.copyfile(source, target)
    for file in runtime:
        if file.suffix == _MACHINES_OWN:
            continue
        packed = deflate.gzip_compress(file.read_bytes(), _LEVEL)
        (tools / "runtime" / f"{file.name}.gz").write_bytes(bytes(packed))


def _store(built: Path, out: Path) -> None:
    with zipfile.ZipFile(built) as archive, zipfile.ZipFile(out, "w") as stored:
        for member in archive.infolist():
            data = archive.read(member)
            member.compress_type = zipfile.ZIP_STORED
            stored.writestr(member, data)


def pack(out: Path, pyproject: Path, sources: Iterable[Path], runtime: Iterable[Path], root: Path = Path()) -> None:
    """Writes the wheel that `pyproject.toml` describes, or raises `ValueError` if it is called something else than `out`.

    Its version is the one in that name.
    """
    os.environ["SOURCE_DATE_EPOCH"] = _EPOCH
    os.environ["PROXY_WASM_VERSION"] = out.name.split("-")[1]
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory, "project")
        _lay_out(project, root, sources, runtime)
        shutil.copyfile(pyproject, project / "pyproject.toml")
        [made] = map(Path, WheelBuilder(str(project)).build(directory=directory, versions=["standard"]))
        if made.name != out.name:
            raise ValueError(f"{pyproject} makes {made.name}, and the target's out is {out.name}")
        _store(made, out)


def main() -> None:
    """Reads the command line and writes the wheel."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("pyproject", type=Path)
    parser.add_argument("--root", type=Path, default=Path(), help="where the repository is")
    parser.add_argument(
        "--source", type=Path, action="append", help="a file of the repository (default: all that belong)"
    )
    parser.add_argument("--runtime", type=Path, action="append", required=True, help="a file of the runtime")
    options = parser.parse_args()
    sources = options.source or contents(options.root)
    pack(options.out, options.pyproject, sources, options.runtime, options.root)


if __name__ == "__main__":
    main()
