"""What makes its like when it goes."""

import contextlib
import io
import re
import weakref
from collections.abc import AsyncIterator, Generator, Iterator
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


def again() -> Iterator[None]:
    """A generator whose end makes its like."""
    try:
        yield
    finally:
        next(again())


def again_later() -> Iterator[None]:
    """The same, where its like goes with its own frame: natively this does not end."""
    try:
        yield
    finally:
        like = again_later()
        next(like)


@contextlib.contextmanager
def again_with() -> Iterator[None]:
    """The same, as a context manager."""
    try:
        yield
    finally:
        again_with().__enter__()


class Wait:
    """What a coroutine can wait for."""

    def __await__(self) -> Generator[None]:
        yield


async def again_async() -> None:
    """A coroutine whose end makes its like."""
    try:
        await Wait()
    finally:
        again_async().send(None)


async def again_generator() -> AsyncIterator[None]:
    """An asynchronous generator whose end makes its like."""
    try:
        yield
    finally:
        start_again()


def start_again() -> None:
    with contextlib.suppress(StopIteration):
        again_generator().asend(None).send(None)  # type: ignore[attr-defined]


class File(io.RawIOBase):
    """A file whose end makes its like."""

    def close(self) -> None:
        File()


class Raw(io.RawIOBase):
    """What a buffer is around: its end makes another one."""

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            super().close()
            io.BufferedWriter(Raw())


class Buffer:
    """An object whose buffer makes its like when it is released."""

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(b"abc")

    def __release_buffer__(self, view: memoryview) -> None:
        memoryview(Buffer())


def ends() -> None:
    """Generators within one another, each with an end of its own: all of them come to it."""
    gone = 0

    def holding(inner: Any) -> Iterator[None]:
        nonlocal gone
        try:
            yield
        finally:
            gone += 1

    def begun(inner: Any) -> Iterator[None]:
        generator = holding(inner)
        next(generator)
        return generator

    nest(begun)
    assert gone == DEPTH, gone


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
        "generator of its like": lambda: next(again()),
        "generator of its like, later": lambda: next(again_later()),
        "context manager of its like": lambda: again_with().__enter__(),
        "coroutine of its like": lambda: again_async().send(None),
        "asynchronous generator of its like": start_again,
        "file of its like": lambda: File() and None,
        "buffered file of its like": lambda: io.BufferedWriter(Raw()) and None,
        "buffer of its like": lambda: memoryview(Buffer()) and None,
        "ends of generators all run": ends,
        "callback of its like": lambda: made(),
        "finalizers all run": lambda: count(),
        "finalizers within one": lambda: often(),
    },
)
