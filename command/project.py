"""A project: the folder of a filter, and what its `pyproject.toml` says under `[tool.proxy-wasm]`."""

from __future__ import annotations

import difflib
import keyword
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.tools import ToolchainError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "pyproject.toml"
_PACKAGE = "__init__.py"
_TOOL = "proxy-wasm"
_TABLE = f"tool.{_TOOL}"
_CLOSE = 0.8
"""How alike two tables' names are, if one is the other misspelt."""

# As Python's packaging has it. The module is called so: it must be the name of one file.
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


class NoProjectError(ToolchainError):
    """There is no project in a folder or above it."""


@dataclass(frozen=True)
class Project:
    """What a filter is built of, and run with."""

    directory: Path
    """Where the project lies; all paths of `pyproject.toml` start here."""

    name: str
    """The project's name, which is the module's as well."""

    filter: str
    """The module to import, such as `plugin`."""

    root: Path
    """Where the project's own modules are looked up."""

    training: str = ""
    """The module that trains the filter; empty for the default training."""

    configuration: Path | None = None
    """The plugin's configuration, for tests, the training and `run`."""

    packages: tuple[str, ...] = ()
    """The installed packages that the filter may import."""

    requirements: Path | None = None
    """A file of requirements, whose packages the filter may import too."""

    envoy: Path = Path("envoy.yaml")
    """Envoy's configuration, for `run` and for tests."""

    keep: tuple[str, ...] = ()
    """Modules of C and codecs that the filter imports by names which no source has."""

    plugin: Path | None = None
    """The file, or the package's folder, of a filter that has no `pyproject.toml`."""

    @property
    def out(self) -> Path:
        """Where `build` writes the module."""
        return self.directory / "build" / f"{self.name}.wasm"

    def configured(self) -> bytes:
        """Returns the plugin's configuration, or nothing; raises `ToolchainError`."""
        return _read(self.configuration) if self.configuration else b""


def find(start: Path) -> Project:
    """Returns the project of a folder or of one above it; raises `NoProjectError` if there is none, `ToolchainError` if it is wrong."""
    start = start.absolute()
    for directory in (start, *start.parents):
        if (directory / FILE).is_file():
            table = _table(directory / FILE)
            if table is not None:
                return _project(directory, *table)
    raise NoProjectError(
        f"there is no project in {start}: no {FILE} with [{_TABLE}] here or above; `proxy-wasm new NAME` makes one"
    )


def of_file(plugin: Path) -> Project:
    """Returns a project of one file or one package's folder, without `pyproject.toml`; raises `ToolchainError` if it is neither."""
    path = plugin.absolute()
    if path.name == _PACKAGE:
        path = path.parent
    if not path.exists():
        raise ToolchainError(f"there is no file or folder {plugin}; is the path right?")
    if path.is_dir() and not (path / _PACKAGE).is_file():
        hint = f"to build the project there, run this in {plugin}" if (path / FILE).is_file() else "give a file of it"
        raise ToolchainError(f"{plugin} is no package of Python, since it has no {_PACKAGE}; {hint}")
    if path.is_file() and path.suffix != ".py":
        raise ToolchainError(f"{plugin} is no Python file; give the file that calls proxy_wasm.register()")
    name = path.name.removesuffix(".py")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ToolchainError(
            f"{plugin} cannot be imported, since {name} is no module's name; rename it, such as {_legal(name)}"
        )
    return Project(path.parent, name, name, path.parent, envoy=path.parent / "envoy.yaml", plugin=path)


def _legal(name: str) -> str:
    changed = re.sub(r"\W", "_", name)
    return f"_{changed}" if keyword.iskeyword(changed) or not changed.isidentifier() else changed


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolchainError(f"cannot read {path}: {error.strerror}") from None


def _table(path: Path) -> tuple[dict[str, Any], str] | None:
    try:
        whole = tomllib.loads(_read(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ToolchainError(f"{path} is not TOML: {error}") from None
    tool = _within(whole, "tool", path)
    table = tool.get(_TOOL)
    if table is None:
        known = {key.lower(): key for key in tool}
        close = [f"tool.{known[key]}" for key in difflib.get_close_matches(_TOOL, known, 1, _CLOSE)]
        for meant in [*close, *([_TOOL] if _TOOL in whole else [])]:
            raise ToolchainError(f"{path} has a table [{meant}]; did you mean [{_TABLE}]?")
        return None
    if not isinstance(table, dict):
        raise ToolchainError(f"{path}: tool.proxy-wasm is a table: write [{_TABLE}]")
    name = _within(whole, "project", path).get("name", path.parent.name or "filter")
    if not isinstance(name, str) or not (_NAME.fullmatch(name) or name == path.parent.name):
        raise ToolchainError(
            f"{path}: [project] name is {name!r}, and the module is called so: "
            "letters from a to z, digits, ., - and _, a letter or a digit first and last"
        )
    return table, name


def _within(whole: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = whole.get(key, {})
    if not isinstance(found, dict):
        raise ToolchainError(f"{path}: {key} is a table: write [{key}]")
    return found


def _project(directory: Path, table: dict[str, Any], name: str) -> Project:
    where = f"{directory / FILE}: [{_TABLE}]"
    found = _values(table, where)
    if "filter" not in found:
        raise ToolchainError(f'{where} does not say which file is the filter: add filter = "plugin.py"')
    root = directory / found.get("root", ".")
    project = Project(
        directory,
        name,
        _module(root, found["filter"], f"{where} filter"),
        root,
        _module(root, found["training"], f"{where} training") if "training" in found else "",
        directory / found["configuration"] if "configuration" in found else None,
        found.get("packages", ()),
        directory / found["requirements"] if "requirements" in found else None,
        directory / found.get("envoy", "envoy.yaml"),
        found.get("keep", ()),
    )
    for key, path in (("configuration", project.configuration), ("requirements", project.requirements)):
        if path is not None and not path.is_file():
            raise ToolchainError(f"{where} {key}: there is no file {path}")
    return project


def _values(table: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns what the table has, each value checked; raises ToolchainError for a key that there is not."""
    for key in (key for key in table if key not in _READERS):
        close = difflib.get_close_matches(key, _READERS, 1)
        hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(_READERS)}"
        raise ToolchainError(f"{where} has an unknown key {key}{hint}")
    return {key: _READERS[key](value, f"{where} {key}") for key, value in table.items()}


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise ToolchainError(f"{where} is text, not {value!r}")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ToolchainError(f"{where} is a list of texts, not {value!r}")
    return tuple(_text(item, where) for item in value)


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "filter": _text,
    "root": _text,
    "training": _text,
    "configuration": _text,
    "envoy": _text,
    "packages": _texts,
    "requirements": _text,
    "keep": _texts,
}


def _module(root: Path, given: str, where: str) -> str:
    """Returns a module's name, given that name or the path of its file."""
    path = Path(given.removesuffix(".py") if given.endswith(".py") else given.replace(".", "/"))
    if not path.name:
        raise ToolchainError(f"{where}: {given!r} is no module; give a file, such as plugin.py")
    if not any((root / found).is_file() for found in (path.with_name(f"{path.name}.py"), path / _PACKAGE)):
        beside = [file.name for file in sorted((root / path).parent.glob("*.py"))]
        close = difflib.get_close_matches(f"{path.name}.py", beside, 1)
        hint = f"; did you mean {path.with_name(close[0])}?" if close else ""
        raise ToolchainError(f"{where}: there is no file {root / path}.py{hint}")
    name = ".".join(path.parts)
    if not all(part.isidentifier() for part in path.parts):
        raise ToolchainError(f"{where}: {given} cannot be imported, since {name} is no module's name")
    return name
