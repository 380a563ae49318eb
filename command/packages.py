"""The installed packages that a filter imports: only those that its project names, and what they need."""

from __future__ import annotations

import difflib
import hashlib
import importlib.metadata
import json
import shutil
import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import Distribution, PackagePath
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from toolchain.tools import ToolchainError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_MACHINE_CODE = (".so", ".pyd", ".dylib")
_LISTED = "packages in [tool.proxy-wasm] of pyproject.toml"
PURE = "only pure Python fits into a filter"
_CLOSE = 0.8
"""How alike two packages' names are, if one may be the other misspelt."""


@dataclass(frozen=True)
class Package:
    """A distribution whose Python a filter may import."""

    name: str
    version: str
    digest: str
    """The sha256 of its files, each with its path."""

    machine_code: tuple[str, ...]
    """The files that cannot be in a filter."""

    def __str__(self) -> str:
        return f"{self.name} {self.version} sha256:{self.digest}"


def gather_installed(directory: Path, root: Path) -> list[Package]:
    """Puts all packages of a directory into a root for the build, as `gather` does."""
    from packaging.utils import canonicalize_name

    found = importlib.metadata.distributions(path=[str(directory)])
    return [_copy(one, root) for one in sorted(found, key=lambda one: canonicalize_name(one.metadata["Name"]))]


def gather(names: Collection[str], root: Path) -> list[Package]:
    """Puts packages and what they need into a root for the build; raises `ToolchainError`.

    Machine code is left out, and an empty file left in its place: the build then names it if it is imported.
    """
    return [_copy(distribution, root) for distribution in _closure(names)] if names else []


def provider(module: str) -> str | None:
    """Returns the installed package that has a top-level module; None if no package has it."""
    found = importlib.metadata.packages_distributions().get(module.partition(".")[0], [])
    return found[0] if found else None


def advice(module: str, taken: Collection[Package]) -> str:
    """Returns what to do for a module that a filter lacks: a sentence if an installed package has it, else nothing."""
    package = provider(module)
    if not package or package in {found.name for found in taken}:
        return ""
    if lacks := _lacks_python(importlib.metadata.distribution(package)):
        return f"{package} is installed, but it {lacks}; {PURE}"
    return f'{package} is installed: add "{package}" to {_LISTED}'


def nobodys(module: str) -> str:
    """Returns what to do for a module that nobody has, else nothing."""
    # Parts of packages are the project's, or of packages that it names.
    if "." in module or module in sys.stdlib_module_names or provider(module):
        return ""
    return (
        f"neither the project nor an installed package has {module}: is the name right? "
        f"A package is to be installed, and named in {_LISTED}"
    )


def _closure(names: Collection[str]) -> list[Distribution]:
    # A build of a filter without packages need not wait for these.
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, Distribution] = {}
    wanted = [(_wish(name), "") for name in names]
    while wanted:
        requirement, because = wanted.pop()
        name = canonicalize_name(requirement.name)
        # The SDK is in every filter, and machine code for this Python in none.
        if name in found or name == "proxy-wasm":
            continue
        found[name] = _installed(requirement.name, because)
        if not because and not requirement.specifier.contains(found[name].version, prereleases=True):
            raise ToolchainError(
                f"the package {requirement.name} is installed here as {found[name].version}, "
                f"and not {requirement.specifier}; `pip install '{requirement}'`"
            )
        for text in found[name].requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                wanted.append((needed, f", which {requirement.name} needs,"))
    return [found[name] for name in sorted(found)]


def _wish(name: str) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(name)
    except InvalidRequirement:
        raise ToolchainError(f"{_LISTED}: {name!r} is no package's name, such as netaddr") from None


def _installed(name: str, because: str) -> Distribution:
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        what_to_do = f"`pip install {name}`" if because else _instead(name)
        raise ToolchainError(f"the package {name}{because} is not installed here; {what_to_do}") from None
    source = json.loads(found.read_text("direct_url.json") or "{}")
    if source.get("dir_info", {}).get("editable"):
        folder = unquote(urlsplit(source.get("url", "")).path)
        raise ToolchainError(
            f"the package {name}{because} is installed as editable, so that its files lie elsewhere; "
            f"`pip install {folder}` installs them"
        )
    return found


def _instead(name: str) -> str:
    """Returns what to do about a package that is not installed: a name that is nearly right is not to be installed as it is."""
    names = (one.metadata["Name"] for one in importlib.metadata.distributions())
    known = {found.lower(): found for found in names if found}
    close = [known[one] for one in difflib.get_close_matches(name.lower(), known, 1, _CLOSE)]
    if meant := provider(name) or next(iter(close), None):
        return f"did you mean {meant}, which is?"
    return f"is the name right? `pip install {name}` installs it"


def _files(distribution: Distribution) -> list[PackagePath]:
    return sorted(file for file in distribution.files or () if not _is_left_out(file.parts))


def _machine_code(files: Collection[PackagePath]) -> tuple[str, ...]:
    return tuple(str(file) for file in files if file.name.endswith(_MACHINE_CODE))


def _lacks_python(distribution: Distribution) -> str:
    """Returns what a package has instead of Python; nothing if it has Python."""
    files = _files(distribution)
    if any(file.suffix == ".py" for file in files):
        return ""
    machine_code = _machine_code(files)
    return f"has no Python, only machine code ({machine_code[0]})" if machine_code else "has no Python files"


def _copy(distribution: Distribution, root: Path) -> Package:
    name, version = distribution.metadata["Name"], distribution.version
    if lacks := _lacks_python(distribution):
        raise ToolchainError(f"the package {name} {version} {lacks}; {PURE}")
    files = _files(distribution)
    machine_code = _machine_code(files)
    digest = hashlib.sha256()
    for file in files:
        target = root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.name.endswith(_MACHINE_CODE):
            target.touch()
            continue
        shutil.copyfile(str(distribution.locate_file(file)), target)
        data = target.read_bytes()
        digest.update(f"{file.as_posix()}\0{len(data)}\0".encode() + data)
    return Package(name, version, digest.hexdigest(), machine_code)


def _is_left_out(parts: tuple[str, ...]) -> bool:
    return ".." in parts or "__pycache__" in parts or parts[0].endswith((".dist-info", ".egg-info", ".pth"))
