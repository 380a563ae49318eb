"""Tasks: coroutines, run with `send` until they wait for something or are over; `gather` waits for several.

There is no event loop: the proxy is one. What a coroutine waits for (`Wait`) is yielded to its task, and resumes it later.
"""

from __future__ import annotations

from types import CoroutineType

import _proxy_wasm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Iterable
    from typing import Any, TypeVar, overload

    A = TypeVar("A")
    B = TypeVar("B")
    C = TypeVar("C")
    D = TypeVar("D")


if TYPE_CHECKING:

    class Wait(_proxy_wasm.Wait):
        """What a coroutine yields to its task, which resumes it later; `begin` and `cancel` are for what is waited for."""

        task: Task

else:
    Wait = _proxy_wasm.Wait


class Task(_proxy_wasm.Task):
    """A coroutine, what it waits for, and the context for which it runs."""

    __slots__ = ()

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine = coroutine

    def resume(self, value: object = None, error: BaseException | None = None) -> None:
        """Goes on after a wait, with its result; never raises."""
        raise NotImplementedError

    def run(self, value: object = None, error: BaseException | None = None) -> bool:
        """Runs the coroutine until it waits, and tells whether it is over; raises what it raises."""
        self.wait = None
        try:
            yielded = self.coroutine.send(value) if error is None else self.coroutine.throw(error)
        except StopIteration as end:
            self.result = end.value
            return True
        return self.take(yielded)

    def take(self, yielded: Any) -> bool:
        """Waits for what the coroutine yielded, and tells whether it is over instead; raises what it raises."""
        try:
            while not isinstance(yielded, Wait):
                yielded = self.coroutine.throw(TypeError(f"awaited {yielded!r}, which the proxy never answers"))
        except StopIteration as end:
            self.result = end.value
            return True
        self.wait = yielded
        yielded.task = self
        yielded.begin()
        return False

    def close(self) -> None:
        """Ends the coroutine where it is; raises what its `finally` blocks raise."""
        wait, self.wait = self.wait, None
        if wait is not None:
            wait.cancel()
        self.coroutine.close()


class Child(Task):
    """One of those that `gather` waits for."""

    __slots__ = ("_group",)

    def __init__(self, coroutine: Coroutine[Any, Any, Any], group: Group) -> None:
        super().__init__(coroutine)
        self._group = group

    @property
    def context_id(self) -> int:  # type: ignore[override]
        return self._group.task.context_id

    def resume(self, value: object = None, error: BaseException | None = None) -> None:
        try:
            over = self.run(value, error)
        except BaseException as raised:
            self._group.task.resume(error=raised)
        else:
            if over:
                self._group.one_is_over()


class Group(Wait):
    """Waits until all children are over, or one raises."""

    __slots__ = ("missing",)

    def __init__(self) -> None:
        self.missing = 0

    def one_is_over(self) -> None:
        """Resumes if it was the last."""
        self.missing -= 1
        if not self.missing:
            self.task.resume()


async def _gather(*awaitables: Awaitable[Any]) -> tuple[Any, ...]:
    """Waits for several at once and returns their results, in the order given.

    The first exception of one is raised, and the others are closed.
    """
    group = Group()
    children = [Child(as_coroutine(awaitable), group) for awaitable in awaitables]
    try:
        for child in children:
            if not child.run():
                group.missing += 1
        if group.missing:
            await group
    finally:
        _close(children)
    return tuple([child.result for child in children])


def as_coroutine(awaitable: Awaitable[Any]) -> Coroutine[Any, Any, Any]:
    """Returns what can be awaited as a coroutine."""

    async def wait() -> Any:
        return await awaitable

    if type(awaitable) is CoroutineType:
        return awaitable
    if isinstance(awaitable, Wait):
        # If that coroutine is closed before it begins, nobody has forgotten to await.
        awaitable.expect()
    return wait()


def _close(tasks: Iterable[Task]) -> None:
    """Closes all of them, and then raises what the last one to fail raised."""
    failure: BaseException | None = None
    for task in tasks:
        try:
            task.close()
        except BaseException as error:
            failure = error
    if failure is not None:
        raise failure


if TYPE_CHECKING:

    @overload
    async def gather(first: Awaitable[A], second: Awaitable[B], /) -> tuple[A, B]: ...
    @overload
    async def gather(first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], /) -> tuple[A, B, C]: ...
    @overload
    async def gather(
        first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], fourth: Awaitable[D], /
    ) -> tuple[A, B, C, D]: ...
    @overload
    async def gather(*awaitables: Awaitable[A]) -> tuple[A, ...]: ...
    async def gather(*awaitables: Awaitable[Any]) -> tuple[Any, ...]:
        """Waits for several at once."""
        return await _gather(*awaitables)
else:
    gather = _gather
    gather.__name__ = gather.__qualname__ = "gather"
