"""Sources that are deep: the compilers."""

import ast
import contextlib
import re
from collections.abc import Callable
from typing import Any

import _ast_unparse  # type: ignore[import-not-found]  # noqa: F401

from tests.host.guests.deep.cases import DEPTH, LONG, SHALLOW, Case, each
from tests.host.guests.deep.structures import a_tuple, nest


def compiled(source: Callable[[], str]) -> Case:
    """Returns a case that compiles a text that is too deep: the parser may also give up in its own ways."""

    def case() -> None:
        try:
            compile(source(), "<deep>", "exec")
        except (SyntaxError, MemoryError, RecursionError) as error:
            raise RecursionError from error

    return case


each(
    RecursionError,
    {
        "compile ()": compiled(lambda: "(" * LONG + ")" * LONG),
        "compile 150 ()": compiled(lambda: "(" * 199 + "0" + ")" * 199 + "+" + "-" * LONG + "1"),
        "compile []": compiled(lambda: "[" * LONG + "]" * LONG),
        "compile {}": compiled(lambda: "{1:" * LONG + "}" * LONG),
        "compile -": compiled(lambda: "-" * LONG + "1"),
        "compile not": compiled(lambda: "not " * LONG + "1"),
        "compile +": compiled(lambda: "1" + "+1" * LONG),
        "compile names": compiled(lambda: "a" + "+a" * LONG),
        "compile .": compiled(lambda: "a" + ".b" * LONG),
        "compile ()()": compiled(lambda: "a" + "()" * LONG),
        "compile [0]": compiled(lambda: "a" + "[0]" * LONG),
        "compile lambda": compiled(lambda: "lambda:" * LONG + "0"),
        "compile if else": compiled(lambda: "0 if 1 else " * LONG + "0"),
        "compile **": compiled(lambda: "2" + "**a" * LONG),
        "compile elif": compiled(lambda: "if a: pass\n" + "elif a: pass\n" * LONG),
        "compile await": compiled(lambda: "async def f():\n " + "await " * LONG + "a"),
        "compile f-string": compiled(lambda: "f'{" * LONG + "1" + "}'" * LONG),
        "compile match": compiled(lambda: "match a:\n case " + "[" * LONG + "]" * LONG + ": pass"),
        "compile for": compiled(lambda: "".join(" " * i + "for a in b:\n" for i in range(3000)) + " " * 3000 + "pass"),
        "compile async for": compiled(lambda: "async def f(): [a " + "async for a in b " * LONG + "]"),
        "compile with with": compiled(lambda: "with " + "a, " * LONG + "a: pass"),
        "compile strings": compiled(lambda: "a" + ".a('b'" * LONG + ")" * LONG),
        "ast.literal_eval": lambda: _literal("[" * DEPTH + "]" * DEPTH),
        "ast.parse": lambda: _literal("-" * DEPTH + "1"),
        "ast by hand": lambda: compile(ast.Expression(_tree()), "<deep>", "eval"),
        "ast constant": lambda: compile(ast.Expression(ast.Constant(a_tuple(), lineno=1, col_offset=0)), "", "eval"),
        "ast.unparse": lambda: ast.unparse(_tree()),
        "ast.dump": lambda: ast.dump(_tree()),
        "re.compile": lambda: re.compile("(?:" * DEPTH + ")" * DEPTH),
    },
)


def swept(source: Callable[[int], str]) -> Case:
    """Returns a case that compiles a text at many depths: what comes after the parser may go deeper than it did."""

    def case() -> None:
        depth = 50
        while depth < 10_000:
            with contextlib.suppress(SyntaxError, MemoryError, RecursionError):
                compile(source(depth), "<deep>", "exec")
            depth *= 2

    return case


each(
    None,
    {
        "sweep lambda": swept(lambda n: "lambda:" * n + "0"),
        "sweep -": swept(lambda n: "-" * n + "a"),
        "sweep if not": swept(lambda n: "if " + "not " * n + "a: pass"),
        "sweep .": swept(lambda n: "a" + ".b" * n),
        "sweep ()()": swept(lambda n: "a" + "(0)" * n),
        "sweep +": swept(lambda n: "a" + "+a" * n),
        "sweep elif": swept(lambda n: "if a: pass\n" + "elif a: pass\n" * n),
        "sweep if else": swept(lambda n: "a if b else " * n + "c"),
        "sweep **": swept(lambda n: "2" + "**a" * n),
        "sweep annotation": swept(lambda n: "from __future__ import annotations\nx: a" + ".b" * n),
        "sweep annotation -": swept(lambda n: "from __future__ import annotations\nx: " + "-" * n + "a"),
        "sweep decorator": swept(lambda n: "@a" + ".b" * n + "\ndef f(): pass"),
        "sweep comprehension": swept(lambda n: "[a for b in " * n + "c" + "]" * n),
        "sweep with": swept(lambda n: "with " + ", ".join("a" for _ in range(n)) + ": pass"),
        "sweep def": swept(
            lambda n: "".join(" " * i + "def f():\n" for i in range(min(n, 99))) + " " * min(n, 99) + "pass"
        ),
        "sweep pattern": swept(lambda n: "match a:\n case " + "|".join("b.c" for _ in range(n)) + ": pass"),
        "sweep await": swept(lambda n: "async def f():\n " + "await " * n + "a"),
        "sweep starred": swept(lambda n: "a[" * min(n, 190) + "*b" + "]" * min(n, 190)),
        "sweep strings": swept(lambda n: "('a' " * min(n, 190) + ")" * min(n, 190)),
    },
)


def _literal(text: str) -> None:
    try:
        ast.literal_eval(text)
    except (SyntaxError, MemoryError) as error:
        raise RecursionError from error


def _tree() -> Any:
    place: dict[str, Any] = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 1}
    return nest(lambda inner: ast.UnaryOp(ast.USub(), inner, **place), ast.Constant(1, **place))


each(
    None,
    {
        "re alternatives": lambda: re.match("(?:a|b)*c", "ab" * DEPTH),
        "re groups": lambda: re.match("(?:(a)|(b))*?c", "ab" * DEPTH),
        "re lookahead": lambda: re.match("(?:(?=(a))a)*b", "a" * DEPTH + "b"),
        "compile 90 ()": lambda: compile("(" * 90 + ")" * 90, "", "eval"),
        "compile 300 +": lambda: compile("a" + "+a" * SHALLOW, "", "eval"),
        "compile 300 elif": lambda: compile("if a: pass\n" + "elif a: pass\n" * SHALLOW, "", "exec"),
    },
)
