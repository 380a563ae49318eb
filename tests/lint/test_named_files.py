"""A document, a docstring or a comment that names a Python file or a document names one that is there."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

MADE = {
    "helper.py",
    "mine/plugin.py",
    "report.md",
    "DIRECTORY/path/name_pb.py",
    "path/name_pb.py",
    "a.md",
    "b.md",
    "dist/PUBLISH.md",
}
"""What readers, programs or tests make."""

NAMING_OTHERS = {"CHANGELOG.md", "conformance.md"}
"""Documents that name files which were there once, or are CPython's own."""

_NAMED = re.compile(r"(?<![\w./{*<-])([\w-][\w./-]*\.(?:py|md))\b")
_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def files() -> Iterator[Path]:
    """Yields the Python files and documents of the project; the wheels are reached by symlinks, which this does not follow."""
    for directory, _, names in os.walk("."):
        path = Path(os.path.relpath(directory))
        if not path.parts or not path.parts[0].startswith((".git", "bazel-", "external")):
            yield from (path / name for name in names if name.endswith((".py", ".md")))


def prose(path: Path) -> str:
    """Returns what a file says: all of a document, the docstrings and comments of a program."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, _DEFINITIONS)]
    return "\n".join([*docstrings, *re.findall(r"#.*", text)])


def missing(text: str, there: set[str]) -> list[str]:
    """Returns the files that a text names and that are not there, by their whole path or the end of it."""
    ends = {end for path in there for end in _ends(path)}
    return sorted(set(_NAMED.findall(text)) - ends - MADE)


def _ends(path: str) -> Iterator[str]:
    parts = path.split("/")
    yield from ("/".join(parts[first:]) for first in range(len(parts)))


def test_every_file_that_is_named_is_there() -> None:
    found = sorted(files())
    assert len(found) > 100
    there = {path.as_posix() for path in found}
    gone = {str(path): missing(prose(path), there) for path in found if path.name not in NAMING_OTHERS}
    assert {path: names for path, names in gone.items() if names} == {}, "say how it is called now, or that it is MADE"


def test_a_file_that_is_gone_is_found() -> None:
    there = {"toolchain/tier/stubs.py", "README.md"}
    assert missing("see `stubs.py`, tier/stubs.py and README.md; name.pyx and *.py are none", there) == []
    assert missing("see boundary/stubs.py, and `bridges.py`.", there) == ["boundary/stubs.py", "bridges.py"]
