"""The program that CPython starts with: it compiles a filter's modules, loads them when the snapshot asks for it, and seals imports.

No file system is ever looked at. While a filter is loaded, code comes from the snapshot's host, through the foreign function
`build.code`, which no proxy has. Once it is sealed, what can still be imported is what is built in, and `LATE`: the host, which
knows what the loaded modules can come to import (toolchain/vm/late.py), puts it there.
"""

import _frozen_importlib
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

ZONES: dict[str, bytes] = {}
"""Time zones by their names, in the form of tzdata's files, compressed."""

_dictionary = b""

_NOT_IN_THE_MODULE = "the filter was built without it; import it at the top of one of its modules: No module named "
_NO_PROCESSES = "there are no processes in a proxy: No module named "
_PROCESSES = ("concurrent.futures.process", "multiprocessing", "_multiprocessing")
_KEEP = 'keep = ["{name}"] keeps it, an attribute of the rule and a line of [tool.proxy-wasm] in pyproject.toml'
_NOT_KEPT = "no module of the filter imports {name} by its name: " + _KEEP
_NO_RELOAD = "{name} cannot be loaded anew in a proxy: its code ran when the filter was built, and is not kept; set its attributes instead"
_NO_SQLITE = "there is no sqlite3 in a proxy: a deep query would use up the stack, and end the VM"
_NO_LIBRARY = "CPython in a proxy has no C library for it: No module named "
_LIBRARIES = """ _bz2 _ctypes _curses _hashlib _lzma _ssl _tkinter _zstd bz2 ctypes curses fcntl grp lzma mmap pwd readline resource \
ssl syslog termios tkinter """
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
        if module.__name__ in _AMENDED:
            _AMENDED[module.__name__](module)


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
            if target is not None:
                raise ModuleNotFoundError(_NO_RELOAD.format(name=name), name=name)
            if cls.sealed and name.startswith(_PROCESSES):
                raise ModuleNotFoundError(f"{_NO_PROCESSES}{name!r}", name=name)
            if f" {name} " in _LIBRARIES:
                raise ModuleNotFoundError(f"{_NO_LIBRARY}{name!r}", name=name)
            return None
        kind = answer[:1]
        if kind == b"N":
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = ["<namespace>"]
            return spec
        encoded, _, marshalled = answer[1:].partition(b"\0")
        origin = encoded.decode()
        loader: Any = Loader(
            marshal.loads(marshalled) if marshalled else _compile_here(_ask("build.source", origin), origin)
        )
        return ModuleSpec(name, loader, origin=origin, is_package=kind == b"P")


class Refuser:
    """Refuses the modules that a filter is built without, and the one that no filter can have."""

    names: ClassVar[set[str]] = set()
    asked: ClassVar[set[str]] = set()
    """The modules of C that were imported while a filter is built: they may be in use though `sys.modules` has them no more."""

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
        """Raises an ImportError for one of them."""
        if name == "_sqlite3":
            raise ImportError(_NO_SQLITE, name=name)
        if name in cls.names:
            raise ModuleNotFoundError(_NOT_KEPT.format(name=name), name=name)
        if name in sys.builtin_module_names:
            cls.asked.add(name)


def _compile(source: Any, origin: str) -> CodeType:
    code: CodeType = compile(source, origin, "exec", dont_inherit=True)
    return code


def _compile_here(source: Any, origin: str) -> CodeType:
    """Compiles, and says where it fails even if it is the compiler that fails."""
    try:
        return _compile(source, origin)
    except (SyntaxError, ValueError):
        raise
    except Exception as error:
        text = f"the compiler fails on this statement: {type(error).__name__}: {error}"
        raise SyntaxError(text, (origin, _failing_line(source, origin), None, None)) from error


def _failing_line(source: Any, origin: str) -> int:
    line = 1
    try:
        tree = compile(source, origin, "exec", _AST_ONLY, dont_inherit=True)
        for statement in tree.body:
            line = statement.lineno
            compile(type(tree)([statement], []), origin, "exec", dont_inherit=True)
    except Exception:  # this is the one
        return line
    return line


def _ask(function: str, argument: str) -> bytes:
    # Not imported at the top: this program runs before there is a boundary.
    import _proxy_wasm

    return _proxy_wasm.proxy_call_foreign_function(function, argument)


def _late(name: str) -> bytes:
    packed = LATE.get(name, b"")
    return unpack(packed) if packed else b""


def _zone(key: str) -> object:
    import _io

    packed = ZONES.get(key, b"")
    data = unpack(packed) if packed else b"" if Finder.sealed else _ask("build.zone", key)
    if not data:
        raise sys.modules["zoneinfo._common"].ZoneInfoNotFoundError(
            f"No time zone found with key {key}; is the package tzdata among the filter's packages?"
        )
    return _io.BytesIO(data)


def _no_debugger(*arguments: object, **named: object) -> None:
    raise RuntimeError(
        "a debugger would wait, and nothing may wait in a proxy: run the callback in a test, where `proxy-wasm test` stops at breakpoint()"
    )


def _no_loop(*arguments: object, **named: object) -> None:
    raise RuntimeError(
        "asyncio has no event loop in a proxy, where nothing may wait: await what proxy_wasm has in an async callback (fetch, gather), "
        "or return, and go on in the callback that brings what you wait for (on_tick, on_http_call_response)"
    )


def _no_socket(*arguments: object, **named: object) -> None:
    raise OSError(
        "there are no sockets in a proxy: call a service that Envoy has as a cluster, with fetch() or http_call()"
    )


def _zone_names() -> set[str]:
    return set(ZONES) if Finder.sealed else set(_ask("build.zones", "").decode().splitlines())


def _amend_zones(module: Any) -> None:
    module.load_tzdata = _zone


def _amend_zone_names(module: Any) -> None:
    module.available_timezones = _zone_names


def _amend_configuration(module: Any) -> None:
    # What CPython was built with; zoneinfo asks for a directory in it.
    module._get_sysconfigdata = dict


def _amend_debugger(module: Any) -> None:
    # The second is what every other way leads to.
    module.set_trace = module.Pdb.interaction = _no_debugger


def _amend_events(module: Any) -> None:
    module.get_running_loop = module._BaseDefaultEventLoopPolicy.get_event_loop = _no_loop


def _amend_locks(module: Any) -> None:
    module._LoopBoundMixin._get_loop = _no_loop


def _amend_sockets(module: Any) -> None:
    module.getaddrinfo = module.gethostbyname = _no_socket
    module.socket.__new__ = staticmethod(_no_socket)


def _amend_loop(module: Any) -> None:
    # Not __init__: of what is never made, no finalizer complains.
    module.BaseSelectorEventLoop.__new__ = staticmethod(_no_loop)


_AMENDED = {
    "asyncio.events": _amend_events,
    "asyncio.mixins": _amend_locks,
    "asyncio.selector_events": _amend_loop,
    "pdb": _amend_debugger,
    "socket": _amend_sockets,
    "sysconfig": _amend_configuration,
    "zoneinfo._common": _amend_zones,
    "zoneinfo._tzpath": _amend_zone_names,
}
"""What is changed in modules of the standard library, which would look for files, sockets and a machine to compile for."""


def pack(data: bytes) -> bytes:
    """Compresses."""
    import zlib

    compressor = zlib.compressobj(9, zdict=zlib.decompress(_dictionary)) if _dictionary else zlib.compressobj(9)
    return compressor.compress(data) + compressor.flush()


def unpack(data: bytes) -> bytes:
    """Undoes `pack`."""
    import zlib

    decompressor = zlib.decompressobj(zdict=zlib.decompress(_dictionary)) if _dictionary else zlib.decompressobj()
    return decompressor.decompress(data)


def _drop_dictionary() -> None:
    """Packs anew, without a dictionary, if the dictionary is larger than what it saves."""
    global _dictionary
    import zlib

    kept = (LATE, ZONES)
    plain = [{name: zlib.compress(unpack(data), 9) for name, data in packed.items()} for packed in kept]
    with_it, without = (sum(len(data) for packed in form for data in packed.values()) for form in (kept, plain))
    if without < with_it + len(_dictionary):
        _dictionary = b""
        for packed, smaller in zip(kept, plain, strict=True):
            packed.update(smaller)


def set_dictionary(packed: bytes) -> bytes:
    """Sets what `pack` and `unpack` know beforehand: code like that of many modules, packed without it."""
    global _dictionary
    _dictionary = packed
    return b""


def keep(entry: bytes) -> bytes:
    """Adds to `LATE`: a name, a NUL and the packed answer."""
    name, _, packed = entry.partition(b"\0")
    LATE[name.decode()] = packed
    return b""


def keep_zone(entry: bytes) -> bytes:
    """Adds to `ZONES`: names of one zone, a line each, a NUL and the packed file."""
    names, _, packed = entry.partition(b"\0")
    for name in names.decode().splitlines():
        ZONES[name] = packed
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
    except Exception:  # a compiler that fails raises what it likes; _compile_here says where
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


def leave_out(names: bytes) -> bytes:
    """Refuses the modules and codecs of these names, a line each, from now on."""
    Refuser.names.update(names.decode().splitlines())
    if Refuser.names:
        import codecs

        codecs.register(_refuse_codec)
        if "unicodedata" in Refuser.names:
            codecs.register_error("namereplace", _refuse_names)
    return b""


def _refuse_names(error: UnicodeError) -> tuple[str, int]:
    raise LookupError(_NOT_KEPT.format(name="unicodedata"))


def _refuse_codec(encoding: str) -> None:
    from encodings import aliases, normalize_encoding

    name = normalize_encoding(encoding)
    name = f"encodings.{aliases.aliases.get(name, name)}"
    if name in Refuser.names:
        raise LookupError(f"no module of the filter names the encoding {encoding}: {_KEEP.format(name=name)}")


def load(module: bytes) -> bytes:
    """Imports the filter's module and returns nothing, or else the traceback."""
    Refuser.asked.clear()
    try:
        __import__(module.decode())
    except BaseException as error:
        import linecache
        import traceback

        for origin in Loader.executed:
            source = _ask("build.source", origin)
            linecache.cache[origin] = (len(source), None, source.decode().splitlines(True), origin)
        return "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
    return b""


def loaded(nothing: bytes) -> bytes:
    """Returns the names of the modules that are loaded, or were, a line each."""
    return "\n".join([*sys.modules, *sorted(Refuser.asked.difference(sys.modules))]).encode()


def where(nothing: bytes) -> bytes:
    """Returns where a filter's module stood when it was interrupted, as a traceback's lines."""
    lines: list[str] = []
    frame = sys._getframe().f_back
    while frame is not None and frame.f_code is not load.__code__:
        code = frame.f_code
        if not code.co_filename.startswith("<frozen"):
            lines.insert(0, f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_name}')
        frame = frame.f_back
    return "\n".join(lines).encode()


def seal(nothing: bytes) -> bytes:
    """Ends the time of imports: from now on there is no host to ask."""
    # What was printed meanwhile belongs to the build, not to every VM.
    sys.stdout.flush()
    sys.stderr.flush()
    _drop_dictionary()
    Finder.sealed = True
    Loader.executed.clear()
    _frozen_importlib._ERR_MSG_PREFIX = _NOT_IN_THE_MODULE  # type: ignore[attr-defined]
    gc.collect()
    return b""


# A late import must be a ModuleNotFoundError, and not a search in a file system that is not there.
sys.meta_path[:] = [Refuser, *(finder for finder in sys.meta_path if finder is not PathFinder), Finder]
sys.path[:] = []
sys.path_hooks[:] = []
sys.path_importer_cache.clear()
sys.dont_write_bytecode = True
# CPython's own would warn that `pdb` is not there, and go on.
sys.breakpointhook = _no_debugger
