"""What makes its like when it goes."""

import re
import weakref
from typing import Any

from tests.host.guests.deep.cases import DEPTH, each
from tests.host.guests.deep.structures import Node, nest


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
