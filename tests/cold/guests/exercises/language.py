"""What the language does: generators, exceptions, recursion, compiled source, garbage."""

import gc
import json
import os
import textwrap
import traceback
import weakref
from collections.abc import Callable, Iterator

from tests.cold.guests.exercises.exercise import digest, exercise


@exercise
def generators() -> object:
    """Sending, throwing, delegating, closing; a coroutine by hand."""
    log: list[object] = []

    def inner() -> Iterator[object]:
        try:
            got = yield 1
            log.append(got)
            yield 2
        except ValueError as error:
            log.append(str(error))
            yield 3
        finally:
            log.append("closed")

    def outer() -> Iterator[object]:
        log.append((yield from inner()))  # type: ignore[func-returns-value]
        yield "last"

    one, two = outer(), outer()
    log += [next(one), one.send("hello"), next(one)]  # type: ignore[attr-defined]
    log += [next(two), two.throw(ValueError("thrown"))]  # type: ignore[attr-defined]
    two.close()  # type: ignore[attr-defined]

    async def coroutine(number: int) -> int:
        return number + (await coroutine(number - 1) if number else 0)

    try:
        coroutine(50).send(None)
    except StopIteration as stop:
        log.append(stop.value)
    return log


@exercise
def exceptions() -> object:
    """Causes, contexts, groups, notes and the traceback's text."""
    out: list[str] = []
    try:
        try:
            os.environ["MISSING"]
        except KeyError as error:
            error.add_note("a note")
            raise RuntimeError("outer") from error
    except RuntimeError as error:
        out.append(traceback.format_exc())
        out.append(repr(error.__cause__))
    try:
        raise ExceptionGroup("group", [ValueError(1), ExceptionGroup("nested", [TypeError("t"), OSError(2, "no")])])
    except* TypeError as group:
        out.append(repr(group.exceptions))
    except* (ValueError, OSError):
        out.append(traceback.format_exc())
    for attempt in ("1/0", "[][1]", "None.x", "int('x')", "'a'+1", "undefined", "(lambda: 1)(2)", "b'\\xff'.decode()"):
        try:
            eval(attempt)
        except Exception as error:
            out.append(f"{type(error).__name__}: {error}")
    return out


@exercise
def recursion() -> object:
    """Down to a RecursionError, in Python and in C, twice."""

    def down(n: int) -> int:
        return down(n + 1)

    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    attempts: list[Callable[[], object]] = [
        lambda: down(0),
        lambda: repr(nested),
        lambda: json.dumps(nested),
        lambda: json.loads("[" * 99_999),
    ]
    out = []
    for attempt in attempts * 2:
        try:
            attempt()
        except RecursionError as error:
            out.append(str(error)[:14])  # how much was used is the machine's affair
    return out


@exercise
def compiled_source() -> object:
    """Source of most statements, compiled, run and disassembled to its code's names; syntax errors with their places."""
    source = textwrap.dedent("""
        import operator
        class Meta(type):
            def __new__(cls, name, bases, space, **words):
                return super().__new__(cls, name, bases, {**space, "words": words})
        class Made(metaclass=Meta, k=1):
            __slots__ = ("a",)
            @property
            def twice(self): return self.a * 2
        def f(a, /, b, *args, c=3, **kw):
            with_default = [x async for x in ()] if False else [y := b, *args]
            match kw:
                case {"p": [1, *rest], **more}: return "one", rest, more
                case {"p": str() as s} if s: return "text", s
                case _: return a, with_default, c
        made = Made(); made.a = 21
        result = [made.twice, Made.words, f(1, 2), f(1, 2, 3, c=4, p=[1, 5, 6], q=7), f(0, 0, p="x")]
        result.append({k: v for k, v in zip("abc", range(9)) if v != 1})
        for i in range(10):
            if i == 3: continue
            if i == 6: break
            result.append(i)
        else:
            result.append("never")
        while True:
            try: result.append(operator.index(1.5))
            except TypeError as e: result.append(str(e)); break
            finally: result.append("finally")
        del i
        result.append(f"{made.twice!r:>5}|{3.14159:.2f}|{'x':^5}")
    """).replace("[x async for x in ()] if False else ", "")
    code = compile(source, "<made>", "exec")
    space: dict[str, object] = {}
    exec(code, space)
    errors = []
    for bad in ("def f(:", "x = = 1", "if 1:\nx", "'abc", "f(a for a in b, c)", "return", "a\u00a0b"):
        try:
            compile(bad, "<bad>", "exec")
        except SyntaxError as error:
            errors.append((error.msg, error.lineno, error.offset))
    return space["result"], code.co_names, digest(code.co_code), errors


@exercise
def garbage() -> object:
    """Cycles, weak references, finalizers, resurrection."""
    log: list[object] = []

    class Node:
        kept: "list[Node]" = []  # noqa: RUF012

        def __init__(self, name: int) -> None:
            self.name, self.other = name, self

        def __del__(self) -> None:
            log.append(self.name)
            if self.name == 3:
                Node.kept.append(self)

    gc.collect()
    references = [weakref.ref(Node(name), lambda _: log.append("gone")) for name in range(5)]
    found = gc.collect()
    return found, sorted(map(str, log)), [reference() is None for reference in references], len(Node.kept)
