"""The docstrings of what is the boundary's own: the SDK has them behind the names, or in a declaration, where editors read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

_SDK = Path(__file__).parent.parent
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def of_calls() -> dict[str, str]:
    """Returns the docstrings of host calls by the boundary's names."""
    return {
        first.value.attr: second.value.value
        for body in map(_body, ("_calls.py", "_http.py"))
        for first, second in pairwise(body)
        if isinstance(first, ast.Assign) and isinstance(first.value, ast.Attribute)
        if isinstance(second, ast.Expr)
        and isinstance(second.value, ast.Constant)
        and isinstance(second.value.value, str)
    }


def declared() -> dict[str, str]:
    """Returns the docstrings of what the SDK declares for type checkers alone, by names such as `HttpAnswer.status`."""
    return {
        name: docstring
        for body in map(_body, ("_http.py", "_fetch.py"))
        for node in body
        if isinstance(node, ast.If)
        for name, docstring in _defined(node.body)
    }


def _body(name: str) -> list[ast.stmt]:
    return ast.parse((_SDK / name).read_text(encoding="utf-8")).body


def _defined(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, _DEFINITIONS):
            if docstring := ast.get_docstring(node):
                yield owner + node.name, docstring
            if isinstance(node, ast.ClassDef):
                yield from _defined(node.body, f"{owner}{node.name}.")
