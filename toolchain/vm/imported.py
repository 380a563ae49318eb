"""Finds what a module's source imports, when and where, in its syntax tree.

It runs in the CPython that compiles (`builder.Compiler`), since the builder's own Python may be older than the syntax.
"""

import _ast
import sys
from encodings import normalize_encoding
from encodings.aliases import aliases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ONLY_AST = 0x400
_FUNCTIONS = (_ast.FunctionDef, _ast.AsyncFunctionDef, _ast.Lambda)
_PROGRAMS = ("main", "_main", "test", "_test")
"""Functions of the library by these names are what its module does when it is run as a program."""
_IMPORTING = ("import_module", "__import__")
_CODECS = ("decode", "encode")
_OF_TEXTS = ("str", "bytes", "bytearray")
_OF_CODECS = {"iterdecode": 1, "iterencode": 1, "decode": 1, "encode": 1, "lookup": 0}
_NOT_OF_CODECS = ("register", "register_error", "lookup_error", "CodecInfo", "Codec", "utf_8_decode", "ascii_encode")
_ANY_ENCODING, _COMPILED, _ANY_NAME = "encodings.*", "compile()", "eval()"
"""Names in the place of a module's: of any encoding, of what CPython imports to compile, of what a text can call."""
_COMPILING = ("compile", "eval", "exec")
_FORGIVING = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException", "")


class _Scope:
    """Where a part of the tree is: in which function, whether it runs late, and what becomes of an ImportError there."""

    def __init__(
        self, where: str = "", late: bool = False, optional: bool = False, instead: tuple[str, ...] = ()
    ) -> None:
        self.where, self.late, self.optional, self.instead = where, late, optional, instead

    def within(self, name: str) -> str:
        """Returns the qualified name of what is defined here."""
        return f"{self.where}.{name}" if self.where else name


class _Walk:
    """A walk through a tree; `found` has an entry for each import."""

    def __init__(self, standard: bool) -> None:
        self.found: list[tuple[object, ...]] = []
        self._standard = standard
        self._called: set[int] = set()

    def all(self, nodes: Any, scope: _Scope) -> None:
        """Walks through nodes of one scope."""
        for node in nodes:
            self.one(node, scope)

    def one(self, node: Any, scope: _Scope) -> None:
        """Walks through a node."""
        if getattr(node, "type_params", None) or type(node).__name__ == "TypeAlias":
            self._note_optional(node, scope, "typing")
        if isinstance(node, _ast.Import):
            for alias in node.names:
                self._note(node, scope, 0, alias.name, ())
        elif isinstance(node, _ast.ImportFrom):
            self._note(node, scope, node.level, node.module or "", tuple(alias.name for alias in node.names))
        elif isinstance(node, _FUNCTIONS):
            self._function(node, scope)
        elif isinstance(node, _ast.ClassDef):
            self.all((*node.decorator_list, *node.bases, *node.keywords), scope)
            self.all(node.body, _Scope(scope.within(node.name), scope.late, scope.optional, scope.instead))
        elif isinstance(node, (_ast.Try, _ast.TryStar)):
            self._try(node, scope)
        elif isinstance(node, _ast.If):
            # What a module imports under a condition, it need not import.
            maybe = _Scope(scope.where, scope.late, scope.optional or not scope.late, scope.instead)
            self.one(node.test, scope)
            self.all((*(() if _never(node.test) else node.body), *node.orelse), maybe)
        else:
            if isinstance(node, _ast.Call):
                self._call(node, scope)
                self._called.add(id(node.func))
                self._encoding(node, scope)
            elif isinstance(node, _ast.Attribute) and node.attr in _CODECS and id(node) not in self._called:
                # It may be called by another name.
                self._note_optional(node, scope, _ANY_ENCODING)
            elif _is_compiling(node) and id(node) not in self._called:
                self._note_optional(node, scope, _COMPILED)
            self.all(_children(node), scope)

    def _note(self, node: Any, scope: _Scope, level: int, module: str, names: tuple[str, ...]) -> None:
        self.found.append((node.lineno, scope.where, scope.late, scope.optional, level, module, names, scope.instead))
        if module == "codecs" and any(name.startswith(("get", "open", "Enc", *_OF_CODECS)) for name in names):
            self._note_optional(node, scope, _ANY_ENCODING)

    def _note_optional(self, node: Any, scope: _Scope, module: str) -> None:
        self.found.append((node.lineno, scope.where, scope.late, True, 0, module, (), ()))

    def _encoding(self, node: Any, scope: _Scope) -> None:
        """Notes the codec's module that a call names, or that it may name any."""
        name, of_codecs = (
            getattr(node.func, "attr", ""),
            getattr(getattr(node.func, "value", None), "id", "") == "codecs",
        )
        plain = getattr(node.func, "id", "")
        if plain == "literal_eval" or name == "literal_eval" or _is_compiling(node.func):
            self._note_optional(node, scope, _COMPILED)
        if plain in _COMPILING:
            self._note_optional(node, scope, _ANY_NAME)
        if of_codecs and (name in _OF_CODECS or name.startswith(("get", "open", "Enc"))):
            position = _OF_CODECS.get(name, 0)
        elif name in _CODECS:
            position = 0
        elif plain in _OF_TEXTS or "TextIOWrapper" in (name, plain):
            position = 1
        else:
            # Whatever takes an encoding by its name may look it up.
            for keyword in node.keywords:
                if keyword.arg == "encoding" and isinstance(keyword.value, _ast.Constant):
                    self._note_optional(node, scope, _codec(keyword.value))
            return
        given = [keyword.value for keyword in node.keywords if keyword.arg in ("encoding", "data_encoding")]
        given += node.args[position : position + 1]
        if any(keyword.arg is None for keyword in node.keywords) or any(isinstance(a, _ast.Starred) for a in node.args):
            self._note_optional(node, scope, _ANY_ENCODING)
        for encoding in given:
            module = _codec(encoding)
            self._note_optional(node, scope, module)

    def _call(self, node: Any, scope: _Scope) -> None:
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "name")]
        if called in _IMPORTING and given and isinstance(given[0], _ast.Constant):
            module = given[0].value
            if isinstance(module, str) and module and not module.startswith("."):
                self._note(node, scope, 0, module, ())

    def _function(self, node: Any, scope: _Scope) -> None:
        name = getattr(node, "name", "<lambda>")
        own = [default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None]
        self.all((*getattr(node, "decorator_list", ()), *own), scope)
        if not (self._standard and name in _PROGRAMS):
            body = node.body if isinstance(node.body, list) else [node.body]
            self.all(body, _Scope(scope.within(name), True, scope.optional, scope.instead))

    def _try(self, node: Any, scope: _Scope) -> None:
        forgiven = any(_forgives(handler) for handler in node.handlers)
        before = len(self.found)
        self.all(node.body, _Scope(scope.where, scope.late, scope.optional or forgiven, scope.instead))
        tried = tuple(str(entry[5]) for entry in self.found[before:] if entry[4] == 0)
        for handler in node.handlers:
            instead = tried if _forgives(handler) else ()
            self.one(handler, _Scope(scope.where, scope.late, scope.optional, scope.instead or instead))
        self.all((*node.orelse, *node.finalbody), scope)


def _is_compiling(node: Any) -> bool:
    """Tells whether something is one of the builtins that compile."""
    of_builtins = getattr(getattr(node, "value", None), "id", "") in ("builtins", "__builtins__")
    return getattr(node, "id", "") in _COMPILING or (of_builtins and getattr(node, "attr", "") in _COMPILING)


def _codec(encoding: Any) -> str:
    value = getattr(encoding, "value", None)
    if isinstance(encoding, _ast.Constant) and value is None:
        return "encodings.utf_8"
    if not isinstance(encoding, _ast.Constant) or not isinstance(value, str):
        return _ANY_ENCODING
    name = normalize_encoding(value.lower()).replace(".", "_")
    return f"encodings.{aliases.get(name, name)}"


def _children(node: Any) -> list[Any]:
    found: list[Any] = []
    for name in node._fields:
        value = getattr(node, name, None)
        found += [value] if isinstance(value, _ast.AST) else value if isinstance(value, list) else []
    return [child for child in found if isinstance(child, _ast.AST)]


def _never(test: Any) -> bool:
    """Tells whether a condition is one that holds in no filter: for a type checker, or in a program."""
    if isinstance(test, _ast.Compare):
        return getattr(test.left, "id", "") == "__name__"
    return getattr(test, "id", getattr(test, "attr", "")) == "TYPE_CHECKING"


def _forgives(handler: Any) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, _ast.Tuple) else [handler.type]
    return any((getattr(kind, "id", "?") if kind is not None else "") in _FORGIVING for kind in kinds)


def imports(request: bytes) -> bytes:
    """Returns the imports of a source, as Python writes a list of tuples (late.Import); none for one that does not compile.

    The request is the origin, a NUL and the source.
    """
    origin, _, source = request.partition(b"\0")
    walk = _Walk(standard=origin.startswith(b"python/"))
    try:
        walk.one(compile(source, origin.decode(), "exec", _ONLY_AST, dont_inherit=True), _Scope())
    except (SyntaxError, ValueError, RecursionError):
        return b"[]"
    return repr(walk.found).encode()


def builtin_names(nothing: bytes) -> bytes:
    """Returns the names of the modules that are built in, as Python writes them."""
    return repr(sys.builtin_module_names).encode()


def python_version(nothing: bytes) -> bytes:
    """Returns the version of this CPython, such as 3.14.0."""
    return sys.version.partition(" ")[0].encode()


# A long sum is a deep tree.
sys.setrecursionlimit(100_000)
# `BuilderVm.python` calls functions of the program that CPython was started with.
vars(sys.modules["boot"]).update(imports=imports, builtin_names=builtin_names, python_version=python_version)
