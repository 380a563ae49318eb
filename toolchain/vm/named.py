"""Finds what the parts of a module's source name: a function that nobody names is called by nobody (`calling.py`).

A part is a function with all that is in it, a class without its functions, or a statement that gives a name to something. It runs in the
CPython that compiles, as `imported.py` does.
"""

import _ast
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_ONLY_AST = 0x400
_FUNCTION, _IMPORT, _OTHER, _HELD, _RUN = "function", "import", "other", "held", "run"
_FUNCTIONS = (_ast.FunctionDef, _ast.AsyncFunctionDef)
_ASSIGNMENTS = (_ast.Assign, _ast.AnnAssign)
_PLAIN = ("classmethod", "staticmethod", "property", "setter", "deleter", "wraps", "abstractmethod")
"""Decorators that keep what they decorate under its name only."""


class _Parts:
    """The parts of a module: `found` has the qualified name of each, what it is, and what it names.

    A name of the module is written as it is, and one of anything with a dot before it: an attribute, a text, what is imported.
    """

    def __init__(self, tree: Any) -> None:
        self.found: list[tuple[str, str, tuple[str, ...]]] = []
        held: set[str] = set()
        self._run: set[str] = set()
        imports = [node for node in tree.body if isinstance(node, _ast.ImportFrom)]
        self._typed = not any(node.module == "__future__" and _has(node, "annotations") for node in imports)
        self._starred = any(_has(node, "*") for node in imports)
        self._block(tree.body, "", held)
        self._add("", _HELD, held)
        self._add("", _RUN, self._run)

    def _block(self, statements: Any, within: str, held: set[str]) -> None:
        for statement in statements:
            if isinstance(statement, _FUNCTIONS):
                self._function(statement, within, held)
            elif isinstance(statement, _ast.ClassDef):
                self._class(statement, within, held)
            elif isinstance(statement, (_ast.Import, _ast.ImportFrom)):
                for alias in statement.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    package = getattr(statement, "module", None) or ""
                    self._add(
                        f"{within}{bound}",
                        _IMPORT,
                        {f".{name}" for name in f"{package}.{alias.name}".split(".") if name},
                    )
            elif isinstance(statement, _ASSIGNMENTS):
                self._assignment(statement, within, held)
            elif _is_list_of_names(statement):
                continue
            elif isinstance(statement, _ast.Expr) and isinstance(statement.value, _ast.Call):
                self._run |= self._names(statement.value.func)
                # What it was given, it may hold.
                for given in (*statement.value.args, *(keyword.value for keyword in statement.value.keywords)):
                    held |= self._names(given)
            else:
                for node in _children(statement, self._typed):
                    if isinstance(statement, (_ast.If, _ast.While)) and node is statement.test:
                        self._run |= self._names(node)
                    elif isinstance(node, _ast.stmt):
                        self._block([node], within, held)
                    elif isinstance(node, (_ast.ExceptHandler, _ast.match_case)):
                        self._block(node.body, within, held)
                    else:
                        held |= self._names(node)

    def _function(self, node: Any, within: str, held: set[str]) -> None:
        self._add(f"{within}{node.name}", _FUNCTION, self._names(node))
        for decorator in node.decorator_list:
            names = self._names(decorator)
            held |= names
            if not any(name.lstrip(".") in _PLAIN for name in names):
                held |= {node.name, f".{node.name}"}

    def _class(self, node: Any, within: str, held: set[str]) -> None:
        named: set[str] = set()
        for part in (*node.bases, *(keyword.value for keyword in node.keywords)):
            named |= self._names(part)
        for decorator in node.decorator_list:
            held |= self._names(decorator)
        self._block(node.body, f"{within}{node.name}.", named)
        self._add(f"{within}{node.name}", _OTHER, named)

    def _assignment(self, node: Any, within: str, held: set[str]) -> None:
        targets = node.targets if isinstance(node, _ast.Assign) else [node.target]
        names = self._names(node.value) if node.value is not None else set()
        for target in targets:
            for part in target.elts if isinstance(target, (_ast.Tuple, _ast.List)) else [target]:
                if not isinstance(part, _ast.Name):
                    held |= names | self._names(part)
                elif part.id != "__all__":
                    self._add(f"{within}{part.id}", _OTHER, names)

    def _add(self, name: str, kind: str, named: set[str]) -> None:
        self.found.append((name, kind, tuple(sorted(named))))

    def _names(self, tree: Any) -> set[str]:
        found: set[str] = set()
        todo = [tree]
        while todo:
            node = todo.pop()
            if isinstance(node, _ast.Name):
                found |= {node.id, f".{node.id}"} if self._starred else {node.id}
            elif isinstance(node, _ast.Attribute):
                found.add(f".{node.attr}")
            elif isinstance(node, _ast.Constant) and isinstance(node.value, str):
                found |= {f".{part}" for part in node.value.split(".") if part.isidentifier()}
            elif isinstance(node, (_ast.alias, _ast.ImportFrom)):
                found |= {
                    f".{part}"
                    for part in (getattr(node, "name", None) or getattr(node, "module", None) or "").split(".")
                }
            todo += _children(node, self._typed)
        return found


def _is_list_of_names(statement: Any) -> bool:
    """Tells whether a statement makes `__all__` longer: who imports from there names what he imports."""
    call = getattr(statement, "value", None)
    target = getattr(statement, "target", getattr(getattr(call, "func", None), "value", None))
    return getattr(target, "id", "") == "__all__"


def _has(node: Any, name: str) -> bool:
    return any(alias.name == name for alias in node.names)


def _children(node: Any, typed: bool) -> "Iterator[Any]":
    if isinstance(node, _ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        yield from node.orelse
        return
    for name in node._fields:
        if not typed and name in ("annotation", "returns"):
            continue
        value = getattr(node, name, None)
        yield from (child for child in (value if isinstance(value, list) else [value]) if isinstance(child, _ast.AST))


def named(request: bytes) -> bytes:
    """Returns the parts of a source, as Python writes a list of tuples (calling.Part); none for one that does not compile.

    The request is the origin, a NUL and the source.
    """
    origin, _, source = request.partition(b"\0")
    try:
        return repr(_Parts(compile(source, origin.decode(), "exec", _ONLY_AST, dont_inherit=True)).found).encode()
    except (SyntaxError, ValueError, RecursionError):
        return b"[]"


# `BuilderVm.python` calls functions of the program that CPython was started with.
vars(sys.modules["boot"]).update(named=named)
