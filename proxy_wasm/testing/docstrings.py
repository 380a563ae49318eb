"""The docstrings of host calls that are the boundary's own functions: the SDK has them behind the names, where editors read them."""

from __future__ import annotations

import ast
from itertools import pairwise
from pathlib import Path

_SDK = Path(__file__).parent.parent


def of_calls() -> dict[str, str]:
    """Returns the docstrings by the boundary's names."""
    bodies = [ast.parse((_SDK / name).read_text(encoding="utf-8")).body for name in ("_calls.py", "_http.py")]
    return {
        first.value.attr: second.value.value
        for body in bodies
        for first, second in pairwise(body)
        if isinstance(first, ast.Assign) and isinstance(first.value, ast.Attribute)
        if isinstance(second, ast.Expr)
        and isinstance(second.value, ast.Constant)
        and isinstance(second.value.value, str)
    }
