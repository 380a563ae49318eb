"""Several projects in one run of pytest: each has a `plugin` and a `test_plugin`, which are other modules in another project."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class OwnModules:
    """Keeps the modules of the projects that are not being tested just now, and what their filters registered."""

    def __init__(self) -> None:
        self._entered: tuple[Path, ...] = ()
        self._modules: dict[tuple[Path, ...], dict[str, ModuleType]] = {}
        self._paths: dict[tuple[Path, ...], list[str]] = {}
        self._root_classes: dict[tuple[Path, ...], dict[Any, Any]] = {}

    def enter(self, *folders: Path) -> None:
        """Puts the modules of a project in their places, those in its folders, and takes those of another project away."""
        if folders == self._entered:
            return
        registered = _registered()
        if self._entered:
            left = self._entered
            self._modules[left] = {name: made for name, made in sys.modules.items() if _lies_in(made, left)}
            for name in self._modules[left]:
                del sys.modules[name]
            self._paths[left] = [entry for entry in sys.path if Path(entry) in left]
            sys.path[:] = [entry for entry in sys.path if Path(entry) not in left]
            self._root_classes[left] = dict(registered)
            registered.clear()
        self._entered = folders
        sys.path[:0] = self._paths.pop(folders, [])
        sys.modules.update(self._modules.get(folders, {}))
        registered.update(self._root_classes.get(folders, {}))


def _lies_in(module: ModuleType, folders: tuple[Path, ...]) -> bool:
    file = Path(getattr(module, "__file__", None) or "")
    # A project may have its virtual environment in its folder.
    installed = "site-packages" in file.parts or file.is_relative_to(sys.prefix)
    return not installed and any(file.is_relative_to(folder) for folder in folders)


def _registered() -> dict[Any, Any]:
    # Whoever runs pytest without a filter has no SDK loaded.
    dispatch = sys.modules.get("proxy_wasm._dispatch")
    return dispatch.root_classes if dispatch else {}
