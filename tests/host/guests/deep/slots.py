"""Slots of a class that hold C: what they are asked, they ask themselves, without a frame of Python in between."""

import codecs
import functools
import operator
import types
from collections.abc import Callable
from typing import Any

from tests.host.guests.deep.cases import Case, each

Ask = Callable[..., Any]
ASKED: dict[str, Ask] = {
    "__float__": float,
    "__index__": range,
    "__str__": str,
    "__repr__": repr,
    "__reversed__": reversed,
    "__len__": reversed,
    "__iter__": list,
    "keys": dict,
}


def _sequence(name: str) -> Any:
    """Returns a class that takes part in `reversed`, unless that is asked for itself."""
    return type("Asked", (), {"__getitem__": None} if name == "__len__" else {})


def by_method(name: str, ask: Ask) -> Any:
    """Returns what asks itself by a method that is bound already."""
    asked = _sequence(name)()
    setattr(type(asked), name, types.MethodType(ask, asked))
    return asked


def by_property(name: str, ask: Ask) -> Any:
    """Returns what asks itself while the method is looked up."""
    asked = _sequence(name)()
    setattr(type(asked), name, property(ask))
    return asked


def by_partial(name: str, ask: Ask) -> Any:
    """Returns what asks itself by a partial function, which binds as a method does."""
    asked = _sequence(name)()
    setattr(type(asked), name, functools.partial(ask))
    return asked


WAYS = {"method": by_method, "property": by_property, "partial": by_partial}


def _asks(way: Callable[[str, Ask], Any], name: str, ask: Ask) -> Case:
    return lambda: ask(way(name, ask))


def _twice(ask: Ask, asked: Any) -> object:
    return ask(asked, asked)


def search(use: Callable[[], object], found_by: Ask) -> Case:
    """Returns a case in which the search for a codec is one of C's, and searches again."""

    def case() -> None:
        codecs.register(found_by)
        try:
            use()
        finally:
            codecs.unregister(found_by)

    return case


class Held(bytearray):
    """What gives its buffer back to itself."""

    __release_buffer__ = property(memoryview)


each(
    RecursionError,
    {f"{name} by {kind}": _asks(way, name, ask) for kind, way in WAYS.items() for name, ask in ASKED.items()},
)
each(
    RecursionError,
    {
        "__add__ by method": lambda: _twice(operator.add, by_method("__add__", operator.add)),
        "keys by update": lambda: dict(by_method("keys", {}.update)),
        "search by decode": search(lambda: b"a".decode("again"), b"a".decode),
        "search by encode": search(lambda: "a".encode("again"), "a".encode),
        "search by lookup": search(lambda: codecs.lookup("again"), codecs.lookup),
        "search by method": search(lambda: "a".encode("again"), operator.methodcaller("encode", "again")),
    },
)
each(None, {"release by property": lambda: memoryview(Held(b"a")) and None})
