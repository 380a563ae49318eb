"""Recursion that the interpreter's own guard does not see: hash values, iterators, wrappers of wrappers."""

import _imp
import ast
import contextlib
import csv
import functools
import itertools
import marshal
import operator
import types
from collections.abc import Iterator
from typing import Any, TypeVar

from tests.host.guests.deep.cases import DEPTH, LONG, Wrap, by_kind, each
from tests.host.guests.deep.structures import Frozen, Named, a_dict, a_list, a_tuple, nest

each(
    RecursionError,
    {
        "hash tuple": lambda: hash(a_tuple()),
        "hash as a key": lambda: {a_tuple(): 1},
        "hash slice": lambda: hash(nest(slice, 1)),
        "hash alias": lambda: hash(nest(lambda inner: types.GenericAlias(list, inner), int)),
        "hash frozen": lambda: hash(nest(Frozen, 1)),
        "hash named tuple": lambda: hash(nest(Named, 1)),
        "hash method": lambda: hash(wrapped_method()),
    },
)
ITERATORS: dict[str, Wrap] = {
    "map": lambda inner: map(abs, inner),
    "filter": lambda inner: filter(None, inner),
    "zip": lambda inner: zip(inner),
    "enumerate": lambda inner: enumerate(inner),
    "chain": lambda inner: itertools.chain(inner),
    "chain.from_iterable": lambda inner: itertools.chain.from_iterable([inner]),
    "islice": lambda inner: itertools.islice(inner, 10),
    "cycle": lambda inner: itertools.cycle(inner),
    "takewhile": lambda inner: itertools.takewhile(bool, inner),
    "dropwhile": lambda inner: itertools.dropwhile(operator.not_, inner),
    "filterfalse": lambda inner: itertools.filterfalse(operator.not_, inner),
    "accumulate": lambda inner: itertools.accumulate(inner),
    "starmap": lambda inner: itertools.starmap(divmod, inner),
    "compress": lambda inner: itertools.compress(inner, itertools.repeat(1)),
    "pairwise": lambda inner: itertools.pairwise(inner),
    "batched": lambda inner: itertools.batched(inner, 1),  # type: ignore[attr-defined]
    "zip_longest": lambda inner: itertools.zip_longest(inner, [1]),
    "groupby": lambda inner: itertools.groupby(inner),
    "tee": lambda inner: itertools.tee(map(abs, inner), 1)[0],
}
each(
    RecursionError,
    by_kind(ITERATORS, "next", lambda wrap: next(nest(wrap, iter([1, 2, 3])))),
)
each(
    None,
    by_kind(ITERATORS, "forget", lambda wrap: nest(wrap, iter([1, 2, 3])) and None),
)


def chained(inner: Any) -> Iterator[Any]:
    yield from inner


def looped(inner: Any) -> Iterator[Any]:
    for item in inner:  # noqa: UP028
        yield item


def suspended(depth: int = DEPTH) -> Any:
    """Returns generators that wait in one another, started one by one from the innermost."""
    generator: Any = iter([1, 2, 3])
    for _ in range(depth):
        generator = started(generator)
        next(generator)
    return generator


def started(inner: Any) -> Iterator[Any]:
    yield 0
    yield from inner


class Bases:
    """What issubclass takes for a class with two bases."""

    def __init__(self, inner: Any) -> None:
        self.__bases__ = (inner, inner)


Variable = TypeVar("Variable")


def subclasses(depth: int) -> None:
    first = last = type("Class", (), {})
    for _ in range(depth):
        last = type("Class", (last,), {})
    setattr(first, "__repr__", lambda self: "new")  # noqa: B010
    assert repr(last()) == "new"


def wrapped_method() -> Any:
    method: Any = len
    for _ in range(DEPTH):
        method = types.MethodType(method, ())
    return method


class Partial(functools.partial):  # type: ignore[type-arg]
    """A partial that is not flattened into another."""


def wrapped_partial() -> Any:
    function: Any = abs
    for _ in range(DEPTH):
        function = Partial(function)
        function.mark = 1
    return function


def proxies() -> Any:
    return nest(types.MappingProxyType, {"k": 1})


each(
    RecursionError,
    {
        "next csv.reader": lambda: next(nest(csv.reader, iter([""]))),
        "call of methods": lambda: wrapped_method()(),
        "call of partials": lambda: wrapped_partial()(1),
        "call of static methods": lambda: nest(staticmethod, abs)(1),
        "proxy get": lambda: proxies()["k"],
        "proxy len": lambda: len(proxies()),
        "proxy in": lambda: "k" in proxies(),
        "proxy iter": lambda: iter(proxies()),
        "proxy hash": lambda: hash(proxies()),
        "proxy or": lambda: proxies() | {},
        "proxy keys": lambda: proxies().keys(),
        "alias attribute": lambda: nest(lambda inner: types.GenericAlias(inner, int), list).no_such,
        "alias of a variable": lambda: nest(lambda inner: types.GenericAlias(list, inner), Variable)[int],
        "method attribute": lambda: wrapped_method().no_such,
        "alias call": lambda: nest(lambda inner: types.GenericAlias(inner, int), list)(),
        "marshal.dumps": lambda: _marshal_dumps(),
        "code constants": lambda: (lambda: 0).__code__.replace(co_consts=(a_tuple(),)),
    },
)


def _marshal_dumps() -> None:
    try:
        marshal.dumps(a_list())
    except ValueError as error:  # marshal counts for itself
        raise RecursionError from error


class Mirror:
    """An attribute that C reads by asking for it."""

    name: Any = property(operator.attrgetter("name"))


class Odd:
    """What dir() takes for an object of a class with many bases, one below the other."""

    def __init__(self, bases: Any) -> None:
        self.bases = bases

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return self.bases


def hierarchy(depth: int) -> None:
    last: Any = object
    for _ in range(depth):
        last = type("Class", (last,), {})


def wide(depth: int) -> Any:
    """Returns a statement of a syntax tree in which conditions nest."""
    place: dict[str, Any] = {"lineno": 1, "col_offset": 0, "end_lineno": 1, "end_col_offset": 1}
    inner = nest(lambda inner: ast.If(ast.Constant(1, **place), [inner], [], **place), ast.Pass(**place), depth)
    return ast.Module([inner], [])


each(
    RecursionError,
    {
        "attribute by attribute": lambda: Mirror().name,
        "call of caches": lambda: nest(functools.lru_cache(None), abs)(1),
        "dir of bases": lambda: dir(Odd(nest(Bases, int))),
        "alias of a list": lambda: types.GenericAlias(dict, (a_list(), Variable))[int],
        "classes": lambda: hierarchy(2000),
        "compile for for": lambda: compile("[a " + "for a in b " * LONG + "]", "", "eval"),
        "ast statements": lambda: compile(wide(DEPTH), "", "exec"),
    },
)
each(
    ValueError,
    {
        "marshal.dumps dict": lambda: marshal.dumps(a_dict()),
        "marshal.dumps code": lambda: marshal.dumps(codes(3000)),
        "marshal.dumps itself": lambda: marshal.dumps(itself(), 0),
        "marshal.dumps slice": lambda: marshal.dumps(nest(lambda inner: slice(inner, 0), 1)),
        "marshal.loads deep": lambda: marshal.loads(b"(\1\0\0\0" * DEPTH + b"N"),
    },
)
each(
    None,
    {
        "marshal swept": lambda: marshalled(),
        "code names": lambda: renamed(codes(3000)),
        "subclasses of 900": lambda: subclasses(900),
    },
)


def codes(depth: int) -> Any:
    """Returns code that has code for its constant, and so on."""
    return nest(lambda inner: (lambda: 0).__code__.replace(co_consts=(inner,)), 1, depth)


def itself() -> Any:
    one: dict[Any, Any] = {}
    one[None] = one
    return one


def marshalled() -> None:
    """Marshals there and back, at many depths, unless that is too deep for marshal."""
    for wrap in (a_list, a_tuple, a_dict, codes):
        for depth in range(100, 2000, 100):
            with contextlib.suppress(ValueError):
                marshal.loads(marshal.dumps(wrap(depth)))


def renamed(code: Any) -> None:
    with contextlib.suppress(RecursionError, SystemError):
        _imp._fix_co_filename(code, "other")  # type: ignore[attr-defined]
