"""A filter that recurses deeply in C: each connection runs one case, and a line of the log says how it ended.

The last two bytes of the source address are the case's number. A case ends as its decorator says, `RecursionError` or nothing at all,
or the line says what happened instead. Past the last case there is nothing to do: `no case`.
"""

import _imp
import ast
import collections
import contextlib
import copy
import csv
import dataclasses
import decimal
import functools
import gc
import itertools
import json
import logging
import marshal
import operator
import pickle
import pprint
import re
import sys
import traceback
import types
import weakref
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from xml.parsers import expat

import _ast_unparse  # type: ignore[import-not-found]  # noqa: F401

import proxy_wasm

DEPTH = 100_000
LONG = 20_000  # sources: text is dearer than objects
SHALLOW = 300
SOURCE = proxy_wasm.property_path("source", "address")

Case = Callable[[], object]
Wrap = Callable[[Any], Any]
cases: list[tuple[str, type[BaseException] | None, Case]] = []


def each(outcome: type[BaseException] | None, table: dict[str, Case]) -> None:
    """Adds cases by name."""
    cases.extend((name, outcome, case) for name, case in table.items())


def by_kind(kinds: dict[str, Wrap], what: str, use: Callable[[Wrap], object]) -> dict[str, Case]:
    """Returns a case for each kind of a thing that holds another."""
    return {f"{what} {kind}": functools.partial(use, wrap) for kind, wrap in kinds.items()}


# ---- structures


def nest(wrap: Callable[[Any], Any], core: Any = None, depth: int = DEPTH) -> Any:
    """Wraps a value this many times."""
    for _ in range(depth):
        core = wrap(core)
    return core


def a_list(depth: int = DEPTH) -> Any:
    return nest(lambda inner: [inner], 1, depth)


def a_tuple(depth: int = DEPTH) -> Any:
    return nest(lambda inner: (inner,), 1, depth)


def a_dict(depth: int = DEPTH) -> Any:
    return nest(lambda inner: {"k": inner}, 1, depth)


class Node:
    """An object that holds another."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner


@dataclasses.dataclass
class Data:
    """A data class that holds another."""

    inner: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A data class that can be hashed."""

    inner: Any


Named = collections.namedtuple("Named", ["inner"])
NESTS: dict[str, Wrap] = {
    "list": lambda inner: [inner],
    "tuple": lambda inner: (inner,),
    "dict": lambda inner: {"k": inner},
    "deque": lambda inner: collections.deque([inner]),
    "ordered_dict": lambda inner: collections.OrderedDict(k=inner),
    "default_dict": lambda inner: collections.defaultdict(int, k=inner),
    "namespace": lambda inner: types.SimpleNamespace(inner=inner),
    "proxy": lambda inner: types.MappingProxyType({"k": inner}),
    "named_tuple": lambda inner: Named(inner),
    "data": Data,
    "slice": lambda inner: slice(inner),
    "alias": lambda inner: types.GenericAlias(list, inner),
    "exception": lambda inner: ValueError(inner),
    "partial": lambda inner: functools.partial(print, inner),
}

COMPARED = {kind: wrap for kind, wrap in NESTS.items() if kind not in ("exception", "partial")}

# ---- what the interpreter's own guard sees

each(RecursionError, by_kind(NESTS, "repr", lambda wrap: repr(nest(wrap, 1))))
each(
    RecursionError,
    by_kind(
        COMPARED,
        "equal",
        lambda wrap: nest(wrap, 1) == nest(wrap, 1),
    ),
)
each(
    RecursionError,
    {
        "str": lambda: str(a_list()),
        "ascii": lambda: ascii(a_list()),
        "print": lambda: print(a_list()),
        "f-string": lambda: f"{a_list()}",
        "format": lambda: f"{a_list()!s:>10}",
        "percent": lambda: "%s" % (a_list(),),  # noqa: UP031
        "repr frozenset": lambda: repr(nest(lambda inner: frozenset([inner]))),
        "less": lambda: a_list() < a_list(),
        "contains": lambda: a_tuple() in [a_tuple()],
        "index": lambda: [a_tuple()].index(a_tuple()),
        "json.dumps": lambda: json.dumps(a_list()),
        "json.dumps dict": lambda: json.dumps(a_dict()),
        "json.dumps indent": lambda: json.dumps(a_list(), indent=1),
        "json.loads": lambda: json.loads("[" * DEPTH + "]" * DEPTH),
        "json.loads dict": lambda: json.loads('{"k":' * DEPTH + "1" + "}" * DEPTH),
        "pickle.dumps": lambda: pickle.dumps(a_list()),
        "pickle.dumps dict": lambda: pickle.dumps(a_dict()),
        "pickle.dumps object": lambda: pickle.dumps(nest(Node)),
        "pickle.dumps in Python": lambda: pickle._dumps(a_list()),  # type: ignore[attr-defined]
        "deepcopy": lambda: copy.deepcopy(a_list()),
        "deepcopy object": lambda: copy.deepcopy(nest(Node)),
        "isinstance": lambda: isinstance(1, nest(lambda inner: (inner,), str)),
        "issubclass": lambda: issubclass(int, nest(lambda inner: (inner,), str)),
        "pprint": lambda: pprint.pformat(a_list()),
        "asdict": lambda: dataclasses.asdict(nest(Data, 1)),
    },
)
each(
    None,
    {
        "pickle.loads": lambda: pickle.loads(b"\x80\x04" + b"]" * DEPTH + b"a" * (DEPTH - 1) + b"."),
        "copy": lambda: copy.copy(a_list()),
        "gc": lambda: (a_list(), nest(Node), gc.collect()),
        "gc of a cycle": lambda: _cycle(),
    },
)


def _cycle() -> None:
    inner: list[Any] = []
    outer = nest(lambda held: [held], inner)
    inner.append(outer)
    del inner, outer
    gc.collect()


# ---- what it does not see: hash values, iterators, wrappers of wrappers

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


# ---- what makes its like when it goes


class Again:
    """A finalizer that makes its like."""

    def __del__(self) -> None:
        Again()


class Heavy:
    """The same, through a good deal of stack for each."""

    def __del__(self) -> None:
        sorted([1], key=lambda _: re.sub("a", heavy, "a"))


def heavy(match: Any) -> str:
    Heavy()
    return ""


class Holder:
    """An object whose weak references have a callback that makes its like."""


kept: list[Any] = []


def made(reference: Any = None) -> None:
    kept[:] = kept[-3:]
    held = Holder()
    kept.append(weakref.ref(held, made))


class Counted(Node):
    """An object that counts those that go, and holds another."""

    gone = 0

    def __del__(self) -> None:
        Counted.gone += 1


def count() -> None:
    Counted.gone = 0
    nest(Counted)
    assert Counted.gone == DEPTH, Counted.gone


def often() -> None:
    """Many objects go, within what one does when it goes."""
    Counted.gone = 0

    class Many:
        def __del__(self) -> None:
            for _ in range(DEPTH):
                Counted(None)

    Many()
    assert Counted.gone == DEPTH, Counted.gone


each(
    None,
    {
        "finalizer of its like": lambda: Again() and None,
        "finalizer of its like, heavy": lambda: Heavy() and None,
        "callback of its like": lambda: made(),
        "finalizers all run": lambda: count(),
        "finalizers within one": lambda: often(),
    },
)

# ---- Python that C calls back


class Asks:
    """Every question is passed on to itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "_")

    def __repr__(self) -> str:
        return f"<{self!r}>"

    def __str__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return [self] == [Asks()]

    def __hash__(self) -> int:
        return hash((self, 1))

    def __call__(self) -> Any:
        return self()

    def __len__(self) -> int:
        return len(self)

    def __bool__(self) -> bool:
        return bool(self)

    def __iter__(self) -> Any:
        return iter(self)

    def __getitem__(self, key: Any) -> Any:
        return self[key]

    def __contains__(self, key: Any) -> bool:
        return key in self

    def __add__(self, other: Any) -> Any:
        return self + other

    def __index__(self) -> int:
        return operator.index(self)

    def __format__(self, specification: str) -> str:
        return format(self, specification)

    def __reduce__(self) -> Any:
        return pickle.dumps(self)

    def __delattr__(self, name: str) -> None:
        delattr(self, name)

    @property
    def attribute(self) -> Any:
        return self.attribute


class Missing(dict):  # type: ignore[type-arg]
    def __missing__(self, key: Any) -> Any:
        return self[key]


class Meta(type):
    def __call__(cls) -> Any:
        return cls()

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls)


class Metered(metaclass=Meta):
    pass


def by_sorting(n: int) -> Any:
    return sorted([n], key=by_sorting)


def by_map(n: int) -> Any:
    return list(map(by_map, [n]))


def by_reduce(n: int, m: int = 0) -> Any:
    return functools.reduce(by_reduce, [n, m])


def by_replacing(match: Any) -> str:
    return re.sub("a", by_replacing, "a")


@functools.lru_cache(None)
def cached(n: int) -> int:
    return cached(n + 1)


def deep(n: int) -> int:
    return deep(n - 1) + 1 if n else 0


def far(depth: int) -> int:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 1000)
    try:
        return deep(depth)
    finally:
        sys.setrecursionlimit(limit)


def asked(question: Any) -> Case:
    """Returns a case in which Python's own limit does not come first."""

    def case() -> object:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(10_000_000)
        try:
            return question(Asks())
        finally:
            sys.setrecursionlimit(limit)

    return case


each(
    RecursionError,
    {
        f"asks {name}": asked(question)
        for name, question in {
            "getattr": lambda asks: asks.name,
            "repr": repr,
            "str": str,
            "eq": lambda asks: asks == Asks(),
            "hash": hash,
            "call": lambda asks: asks(),
            "len": len,
            "bool": bool,
            "iter": iter,
            "getitem": lambda asks: asks[0],
            "contains": lambda asks: 0 in asks,
            "add": lambda asks: asks + 1,
            "index": operator.index,
            "format": format,
            "pickle": pickle.dumps,
            "delattr": lambda asks: delattr(asks, "name"),
            "property": lambda asks: asks.attribute,
            "missing": lambda _: Missing()[0],
            "metaclass": lambda _: Metered(),
            "instance check": lambda _: isinstance(0, Metered),
            "sorted": lambda _: by_sorting(0),
            "map": lambda _: by_map(0),
            "reduce": lambda _: by_reduce(0),
            "re.sub": lambda _: by_replacing(None),
            "lru_cache": lambda _: cached(0),
            "repr data": lambda _: repr(nest(Data, 1)),
            "equal data": lambda _: nest(Data, 1) == nest(Data, 1),
            "deepcopy": lambda _: copy.deepcopy(nest(Node, 1, 20_000)) and by_map(0),
        }.items()
    },
)
each(RecursionError, {"Python": lambda: deep(DEPTH)})
each(None, {"Python to 900": lambda: deep(900), "Python to 50,000": lambda: far(50_000)})

# ---- compilers


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

# ---- what is forgotten, collected or raised

each(
    None,
    by_kind(NESTS, "forget", lambda wrap: nest(wrap, 1) and None)
    | {
        "forget objects": lambda: nest(Node) and None,
        "forget cells": lambda: nest(lambda inner: lambda: inner) and None,
        "forget methods": lambda: wrapped_method() and None,
        "forget partials": lambda: wrapped_partial() and None,
        "forget proxies": lambda: bool([proxies()]),
        "forget frozensets": lambda: nest(lambda inner: frozenset([inner])) and None,
        "forget new generators": lambda: nest(chained, iter([1])) and None,
        "forget exceptions": lambda: contexts() and None,
        "forget elements": lambda: elements() and None,
        "forget finalizers": lambda: nest(Finalized) and None,
        "forget tracebacks": lambda: tracebacks(),
        "forget code": lambda: nest(lambda inner: (lambda: 0).__code__.replace(co_consts=(inner,)), 1, 1000) and None,
        "contexts": lambda: contexts(),
    },
)


class Finalized(Node):
    def __del__(self) -> None:
        self.inner = None


def contexts() -> BaseException:
    error: BaseException = ValueError("first")
    for _ in range(DEPTH):
        outer = ValueError("next")
        outer.__context__ = error
        error = outer
    return error


def groups() -> Any:
    return nest(lambda inner: ExceptionGroup("group", [inner]), ValueError("inner"))


def tracebacks() -> None:
    with contextlib.suppress(KeyError):
        far_raise(20_000)


def far_raise(depth: int) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 1000)
    try:
        raise_at(depth)
    finally:
        sys.setrecursionlimit(limit)


def raise_at(depth: int) -> None:
    if depth:
        raise_at(depth - 1)
    raise KeyError


def elements() -> Any:
    root = element = ElementTree.Element("a")
    for _ in range(DEPTH):
        element = ElementTree.SubElement(element, "a")
    return root


def document_type(depth: int) -> None:
    parser = expat.ParserCreate()
    parser.ElementDeclHandler = lambda name, model: None
    parser.Parse("<!DOCTYPE a [<!ELEMENT a " + "(" * depth + "b" + ")" * depth + ">]><a/>", True)


def entities(depth: int) -> None:
    declared = "".join(f'<!ENTITY a{i + 1} "&a{i};">' for i in range(depth))
    expat.ParserCreate().Parse(f'<!DOCTYPE a [<!ENTITY a0 "0">{declared}]><a b="&a{depth};"/>', True)


each(
    RecursionError,
    {
        "throw suspended": lambda: suspended().throw(RecursionError),
        "issubclass of bases": lambda: issubclass(nest(Bases, int), str),
        "group split": lambda: groups().split(TypeError),
        "group subgroup": lambda: groups().subgroup(ValueError),
        "group repr": lambda: repr(groups()),
        "element deepcopy": lambda: copy.deepcopy(elements()),
        "expat model": lambda: document_type(50_000),
    },
)
each(
    None,
    {
        "format contexts": lambda: "".join(traceback.format_exception(contexts())) and None,
        "print contexts": lambda: sys.__excepthook__(ValueError, nest_context(2000), None),
        "log contexts": lambda: logging.getLogger("deep").error("deep", exc_info=nest_context(2000)),
        "close suspended": lambda: suspended().close(),
        "next yield from": lambda: next(nest(chained, iter([1]))),
        "next of loops": lambda: next(nest(looped, iter([1]))),
        "repr alias of lists": lambda: repr(types.GenericAlias(list, a_list(200))),
        "alias parameters": lambda: types.GenericAlias(list, a_list()),
        "expat entities": lambda: entities(20_000),
        "forget suspended": lambda: suspended() and None,
        "big integers": lambda: (3**50_000 * 7**50_000) % 10**1000,
        "decimals": lambda: decimal.Decimal(3) ** 10_000,
        "parse elements": lambda: ElementTree.fromstring("<a>" * DEPTH + "</a>" * DEPTH) and None,
    },
)


def nest_context(depth: int) -> BaseException:
    error: BaseException = ValueError("first")
    for _ in range(depth):
        outer = ValueError("next")
        outer.__context__ = error
        error = outer
    return error


# ---- what has to go on working

each(
    None,
    by_kind(NESTS, "100 repr", lambda wrap: repr(nest(wrap, 1, 100)))
    | {
        "300 json": lambda: json.loads(json.dumps(a_list(SHALLOW))),
        "300 pickle": lambda: pickle.loads(pickle.dumps(a_dict(SHALLOW))),
        "300 deepcopy": lambda: copy.deepcopy(a_list(SHALLOW)),
        "300 equal": lambda: a_dict(SHALLOW) == a_dict(SHALLOW),
        "300 hash": lambda: hash(a_tuple(SHALLOW)),
        "100 getattr": lambda: nested_getattr(100),
        "80 re": lambda: re.compile("(" * 80 + ")" * 80),
    },
)


class Delegate:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def nested_getattr(depth: int) -> Any:
    return nest(Delegate, "text", depth).upper()


# ---- the filter


def run(number: int) -> None:
    """Runs a case and logs how it ended."""
    if number >= len(cases):
        proxy_wasm.info("no case")
        return
    name, expected, case = cases[number]
    try:
        case()
        outcome = None
    except BaseException as error:
        outcome = type(error)
        said = str(error)[:60]
    if outcome is expected:
        proxy_wasm.info(f"case {number} ok: {name}")
    else:
        proxy_wasm.info(f"case {number} FAILED: {name}: {outcome and outcome.__name__}: {said if outcome else ''}")


class Connection(proxy_wasm.StreamContext):
    def on_new_connection(self) -> None:
        address = (proxy_wasm.get_property(SOURCE) or b"").decode().rpartition(":")[0].split(".")
        run(int(address[2]) * 256 + int(address[3]))


class Root(proxy_wasm.RootContext):
    stream_context = Connection


proxy_wasm.register(Root)
