"""The program that componentize-py pre-initialises: it loads a filter's module when the snapshot asks for it.

No file system is looked at after the boot. While a filter is loaded, sources come from the snapshot's host, through the foreign
function `build.source`, which no proxy has; once it is loaded, imports are sealed.
"""

from __future__ import annotations

import gc
import importlib
import random  # noqa: F401  componentize-py seeds it after this program, when nothing can be imported any more
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

import wit_world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


class Loader:
    """Executes the source of one module."""

    executed: ClassVar[dict[str, bytes]] = {}
    """Origin and source of what was executed, for tracebacks while a filter is built."""

    def __init__(self, source: bytes) -> None:
        self.source = source

    def create_module(self, spec: ModuleSpec) -> None:
        """Leaves the making of the module to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Executes the module's source in it."""
        spec = module.__spec__
        assert spec is not None and spec.origin is not None
        self.executed[spec.origin] = self.source
        exec(compile(self.source, spec.origin, "exec", dont_inherit=True), module.__dict__)
        self.source = b""


class Finder:
    """Finds modules by asking the snapshot's host.

    Its answer is one byte for the kind (P package, M module, N namespace package), the origin, a NUL and the source.
    """

    sealed = False

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Returns where a module is, or None: always None once the filter is loaded."""
        boundary = sys.modules.get("_proxy_wasm")
        if cls.sealed or boundary is None:
            return None
        answer: bytes = boundary.proxy_call_foreign_function("build.source", name)
        if not answer:
            return None
        kind = answer[:1]
        origin, _, source = answer[1:].partition(b"\0")
        if kind == b"N":
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = ["<namespace>"]
            return spec
        loader: Any = Loader(source)
        return ModuleSpec(name, loader, origin=origin.decode(), is_package=kind == b"P")


class WitWorld(wit_world.WitWorld):
    """The export of the world in boot.wit."""

    def load(self, module: str) -> str:
        """Imports the filter's module and returns "", or else the traceback."""
        try:
            importlib.import_module(module)
        except BaseException as error:
            import linecache
            import traceback

            for origin, source in Loader.executed.items():
                linecache.cache[origin] = (len(source), None, source.decode().splitlines(True), origin)
            return "".join(traceback.format_exception(error))
        # What was printed meanwhile belongs to the build, not to every VM.
        sys.stdout.flush()
        sys.stderr.flush()
        Finder.sealed = True
        Loader.executed.clear()
        gc.collect()
        return ""


# A late import must be a ModuleNotFoundError, and not a search in a file system that is not there.
sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder] + [Finder]
sys.path[:] = []
sys.path_hooks[:] = []
sys.path_importer_cache.clear()
sys.dont_write_bytecode = True
gc.collect()
