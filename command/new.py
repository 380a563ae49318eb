"""Makes the folder of a new project, from a template that is a project itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

from toolchain.tools import ToolchainError

_TEMPLATES = Path(os.path.abspath(__file__)).parent / "templates"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_PLACEHOLDER = "NEW-NAME"
# A file by its own name would be taken for this repository's.
_RENAMED = {"gitignore": ".gitignore"}


def kinds() -> list[str]:
    """Returns the names of the templates."""
    return sorted(path.name for path in _TEMPLATES.iterdir() if (path / "pyproject.toml").is_file())


def envoy(kind: str) -> Path:
    """Returns the Envoy configuration of a new project."""
    return _TEMPLATES / kind / "envoy.yaml"


def make(directory: Path, kind: str) -> list[Path]:
    """Makes a folder with a new project and returns its files; raises `ToolchainError` if something is there already."""
    name = directory.name
    if not _NAME.fullmatch(name):
        raise ToolchainError(f"{name!r} is no name for a project: letters from a to z, digits, - and _, a letter first")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ToolchainError(f"{directory} is there already; choose another name, or remove it")
    made = []
    try:
        for source in sorted((_TEMPLATES / kind).iterdir()):
            if source.is_file():
                target = directory / _RENAMED.get(source.name, source.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                text = source.read_text(encoding="utf-8").replace(_PLACEHOLDER, name)
                target.write_text(text, encoding="utf-8")
                made.append(target)
    except OSError as error:
        raise ToolchainError(f"cannot write {directory}: {error.strerror}") from None
    return made
