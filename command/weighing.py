"""The report of a build: what is compiled, what is cold, which packages and modules are in, and what weighs how much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from command.packages import Package
from command.treemap import Picture, Tile, gathered, page
from toolchain.recipe.filter import BuiltFilter
from toolchain.snapshot import Frozen
from toolchain.tier.report import Weights

_OWNERS = ("your modules", "packages", "proxy_wasm", "standard library")
_AREAS = (
    "An area is a part of the file. Cold functions are compressed together: each has a share by its size. So it is with the memory: what "
    "can be imported late is known, and the rest is CPython's and that of the modules that are loaded."
)
_CODE = "An area is the code of a module that is loaded, before it is compressed. What it has made in memory is not counted."
_LOADED, _LATE = (
    "modules that are loaded, with the bytes of their code",
    "modules that can be imported late, compressed",
)


def owner(root: Path, scratch: Path) -> Callable[[str], str]:
    """Returns what says whose a module is: the project's root and that of its packages decide."""

    def whose(name: str) -> str:
        path = name.replace(".", "/")
        if name.partition(".")[0] == "proxy_wasm":
            return "proxy_wasm"
        for directory, found in ((root, "your modules"), (scratch, "packages")):
            if (directory / f"{path}.py").is_file() or (directory / path).is_dir():
                return found
        return "standard library"

    return whose


def text(built: BuiltFilter, taken: Sequence[Package], whose: Callable[[str], str]) -> str:
    """Returns the report as text."""
    parts = ["".join(f"package: {package}\n" for package in taken) + built.report]
    for late, title in ((False, _LOADED), (True, _LATE)):
        found = _by_size(module for module in built.modules if module.late == late)
        lines = [f"{module.size:8} {module.name} ({whose(module.name)})" for module in found]
        parts.append(
            "\n".join([f"{title}: {len(found)}, {sum(module.size for module in found)} bytes", "", *lines, ""])
        )
    return "\n".join(parts)


def picture(name: str, built: BuiltFilter, taken: Sequence[Package], whose: Callable[[str], str]) -> str:
    """Returns the report as a page of HTML, with treemaps and the text."""
    module = Picture(f"{len(built.module) / 1e6:.2f} MB: what the file holds", _AREAS, _of_module(built, built.weights))
    loaded = {owner: [m for m in built.modules if not m.late and whose(m.name) == owner] for owner in _OWNERS}
    groups = [Tile(owner, parts=gathered([Tile(m.name, m.size) for m in found])) for owner, found in loaded.items()]
    code = Picture("The Python that is loaded", _CODE, groups)
    return page(f"{name}.wasm", [module, code], text(built, taken, whose))


def _of_module(built: BuiltFilter, weights: Weights) -> list[Tile]:
    compiled = [Tile(f.name, f.size - f.in_cold_parts) for f in weights.functions if f.compiled]
    cold = [Tile(f.name, f.size) for f in weights.functions if not f.compiled]
    cold.append(Tile("cold parts of compiled functions", sum(f.in_cold_parts for f in weights.functions)))
    # What is cold is packed: each has its share.
    share = weights.packed_bodies / max(sum(tile.size for tile in cold), 1)
    late = [Tile(module.name, module.size) for module in built.modules if module.late]
    at_start = max(weights.packed_image - sum(tile.size for tile in late), 0)
    groups = [
        Tile("compiled functions", parts=gathered(compiled)),
        Tile("cold functions, interpreted", parts=gathered([Tile(tile.name, tile.size * share) for tile in cold])),
        Tile("memory at the start: loaded modules and CPython's objects", at_start),
        Tile("modules that can be imported late", parts=gathered(late)),
    ]
    rest = len(built.module) - sum(group.size for group in groups)
    return [*groups, Tile("the cold tier's interpreter, bridges and tables", max(rest, 0))]


def _by_size(modules: Iterable[Frozen]) -> list[Frozen]:
    return sorted(modules, key=lambda module: (-module.size, module.name))
