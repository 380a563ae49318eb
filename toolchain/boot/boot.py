"""The program that componentize-py pre-initialises: it loads a filter's module when the snapshot asks for it.

No file system is looked at after the boot. While a filter is loaded, sources come from the snapshot's host, through the foreign
function `build.source`, which no proxy has; once it is loaded, imports are sealed.
"""

import gc
import importlib
import random  # noqa: F401  componentize-py seeds it after this program, when nothing can be imported any more
import sys
from importlib.machinery import ModuleSpec, PathFinder

import wit_world


class Loader:
    """Executes the source of one module."""

    executed = {}  # origin -> source, for tracebacks while a filter is built

    def __init__(self, source):
        self.source = source

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        source, self.source = self.source, None
        origin = module.__spec__.origin
        self.executed[origin] = source
        exec(compile(source, origin, "exec", dont_inherit=True), module.__dict__)


class Finder:
    """Finds modules by asking the snapshot's host.

    Its answer is one byte for the kind (P package, M module, N namespace package), the origin, a NUL and the source.
    """

    sealed = False

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        boundary = sys.modules.get("_proxy_wasm")
        if cls.sealed or boundary is None:
            return None
        answer = boundary.proxy_call_foreign_function("build.source", name)
        if not answer:
            return None
        kind = answer[:1]
        origin, _, source = answer[1:].partition(b"\0")
        if kind == b"N":
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = ["<namespace>"]
            return spec
        return ModuleSpec(name, Loader(source), origin=origin.decode(), is_package=kind == b"P")


class WitWorld(wit_world.WitWorld):
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
