"""The program that CPython starts with: it compiles a filter's modules, loads them when the snapshot asks for it, and seals imports.

No file system is ever looked at. While a filter is loaded, code comes from the snapshot's host, through the foreign function
`build.code`, which no proxy has. Once it is loaded, what can still be imported is what is built in, and `LATE`.
"""

import gc
import marshal
import sys

# What `importlib.machinery` has, without importing it.
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType, ModuleType
    from typing import Any, ClassVar

LATE: dict[str, bytes] = {}
"""Modules that a sealed filter can still import, each as the host's answer for it, compressed."""

_AST_ONLY = 0x400  # ast.PyCF_ONLY_AST


class Loader:
    """Executes the code of one module."""

    executed: ClassVar[list[str]] = []
    """Origins of what was executed, for tracebacks while a filter is built."""

    def __init__(self, code: CodeType) -> None:
        self.code: CodeType | None = code

    def create_module(self, spec: ModuleSpec) -> None:
        """Leaves the making of the module to the import system."""

    def exec_module(self, module: ModuleType) -> None:
        """Executes the module's code in it, once."""
        code, self.code = self.code, None
        assert code is not None
        if not Finder.sealed:
            self.executed.append(code.co_filename)
        exec(code, module.__dict__)


class Finder:
    """Finds modules by asking the snapshot's host, and in `LATE` once the filter is loaded.

    An answer is one byte for the kind (P package, M module, N namespace package), the origin, a NUL and the marshalled code.
    Code that is missing does not compile: its source does not either, here, where the traceback shows who wanted it.
    """

    sealed = False

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Returns where a module is, or None."""
        answer = _late(name) if cls.sealed else _ask("build.code", name)
        if not answer:
            return None
        kind = answer[:1]
        if kind == b"N":
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = ["<namespace>"]
            return spec
        encoded, _, marshalled = answer[1:].partition(b"\0")
        origin = encoded.decode()
        loader: Any = Loader(
            marshal.loads(marshalled) if marshalled else _compile(_ask("build.source", origin), origin)
        )
        return ModuleSpec(name, loader, origin=origin, is_package=kind == b"P")


def _compile(source: Any, origin: str) -> CodeType:
    code: CodeType = compile(source, origin, "exec", dont_inherit=True)
    return code


def _ask(function: str, argument: str) -> bytes:
    # Not imported at the top: this program runs before there is a boundary.
    import _proxy_wasm

    return _proxy_wasm.proxy_call_foreign_function(function, argument)


def _late(name: str) -> bytes:
    packed = LATE.pop(name, b"")
    return unpack(packed) if packed else b""


def pack(data: bytes) -> bytes:
    """Compresses."""
    import zlib

    return zlib.compress(data, 9)


def unpack(data: bytes) -> bytes:
    """Undoes `pack`."""
    import zlib

    return zlib.decompress(data)


def keep(entry: bytes) -> bytes:
    """Adds to `LATE`: a name, a NUL and the packed answer."""
    name, _, packed = entry.partition(b"\0")
    LATE[name.decode()] = packed
    return b""


def compile_module(request: bytes) -> bytes:
    """Returns a module's marshalled code, or nothing where it does not compile.

    The request is one byte (D with docstrings, S stripped of them as by `python -OO`), the origin, a NUL and the source.
    """
    encoded, _, source = request[1:].partition(b"\0")
    origin = encoded.decode()
    try:
        if request[:1] == b"D":
            return marshal.dumps(_compile(source, origin))
        tree = compile(source, origin, "exec", _AST_ONLY, dont_inherit=True)
        _strip_docstrings(tree)
        return marshal.dumps(_compile(tree, origin))
    except (SyntaxError, ValueError):
        return b""


def _strip_docstrings(tree: Any) -> None:
    import _ast

    nodes = [tree]
    while nodes:
        node = nodes.pop()
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            nodes += getattr(node, block, ())
        if not isinstance(node, (_ast.Module, _ast.ClassDef, _ast.FunctionDef, _ast.AsyncFunctionDef)):
            continue
        while node.body and isinstance(node.body[0], _ast.Expr) and isinstance(node.body[0].value, _ast.Constant):
            text = node.body.pop(0)
            if not node.body and node is not tree:
                place = {name: getattr(text, name) for name in text._attributes}
                node.body.append(_ast.Pass(**place))


def load(module: bytes) -> bytes:
    """Imports the filter's module and returns nothing, or else the traceback."""
    try:
        __import__(module.decode())
    except BaseException as error:
        import linecache
        import traceback

        for origin in Loader.executed:
            source = _ask("build.source", origin)
            linecache.cache[origin] = (len(source), None, source.decode().splitlines(True), origin)
        return "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
    # What was printed meanwhile belongs to the build, not to every VM.
    sys.stdout.flush()
    sys.stderr.flush()
    Finder.sealed = True
    Loader.executed.clear()
    for name in sys.modules.keys() & LATE.keys():
        del LATE[name]
    gc.collect()
    return b""


# A late import must be a ModuleNotFoundError, and not a search in a file system that is not there.
sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder] + [Finder]
sys.path[:] = []
sys.path_hooks[:] = []
sys.path_importer_cache.clear()
sys.dont_write_bytecode = True
