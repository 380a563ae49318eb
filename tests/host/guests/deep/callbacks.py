"""Python that C calls back."""

import copy
import functools
import operator
import pickle
import re
import sys
from typing import Any

from tests.host.guests.deep.cases import DEPTH, Case, each
from tests.host.guests.deep.structures import Data, Node, nest


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
