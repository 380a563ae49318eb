"""Waiting for a time to pass: `from proxy_wasm.timers import sleep, wait_for` at the top of a filter's module, which then has the callback.

A root has one clock in the proxy, its tick, and the filter may want that for itself. They share it: the tick's period is the time to
what comes first. What waits is woken late and never early. Envoy's ticks may come some milliseconds early, for their clock is a coarse
one. So a tick looks at the monotonic clock, and what is not due waits for the rest. Nobody sets that clock.
"""

from __future__ import annotations

from time import monotonic_ns

import _proxy_wasm

from proxy_wasm import _await, _calls, _dispatch, _http, _register
from proxy_wasm._fetch import milliseconds
from proxy_wasm._tasks import Child, Group, Task, Wait, as_coroutine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeVar

    Result = TypeVar("Result")

__all__ = ["sleep", "wait_for"]

_MILLISECOND = 10**6


class _Clock:
    """A root's tick; times are in nanoseconds."""

    def __init__(self) -> None:
        self._fires = 0  # for when the proxy's tick was asked
        self._period = 0  # what the proxy was told last, in milliseconds
        self._own = self._own_due = 0  # the filter's own period
        self._waiting: list[_Timer] = []

    def set_own(self, period: int) -> None:
        """Sets the period in which the filter wants its `on_tick` called; 0 ends it."""
        self._own = period * _MILLISECOND
        self._own_due = monotonic_ns() + self._own
        self._arm()

    def add(self, timer: _Timer, delay: int) -> None:
        """Fires what waits when a time has passed."""
        timer.due = monotonic_ns() + delay * _MILLISECOND
        self._waiting.append(timer)
        if not self._period or timer.due < self._fires:
            self._arm()

    def remove(self, timer: _Timer) -> None:
        """Forgets what waits; the tick that comes for it finds nothing, and stops."""
        if timer in self._waiting:
            self._waiting.remove(timer)

    def tick(self, root_id: int) -> bool:
        """Fires what is due, and tells whether the filter's own period has passed."""
        now = monotonic_ns()
        while due := [timer for timer in self._waiting if timer.due <= now]:
            timer = min(due, key=lambda one: one.due)
            self._waiting.remove(timer)
            if _await.speak_for(timer.task, root_id):
                timer.fire()
            _http.set_effective_context(0)
        own = self._own > 0 and self._own_due <= now
        if own:
            self._own_due = now + self._own
        self._arm()
        return own

    def _arm(self) -> None:
        times = [timer.due for timer in self._waiting] + [self._own_due] * (self._own > 0)
        period = 0
        if times:
            self._fires = min(times)
            # Rounded up, or the tick comes too early for nothing.
            period = max(-((monotonic_ns() - self._fires) // _MILLISECOND), 1)
        if period or self._period:
            _proxy_wasm.proxy_set_tick_period_milliseconds(period)
        self._period = period


def _clock() -> _Clock:
    """Returns the clock of the root in whose name, or in whose stream's name, host calls are made now."""
    context_id = _proxy_wasm.speaker()
    stream = _dispatch.streams.get(context_id)
    root: object = _dispatch.roots[context_id] if stream is None else stream.root
    clock: _Clock | None = getattr(root, "_clock", None)
    if clock is None:
        clock = _Clock()
        root._clock = clock  # type: ignore[attr-defined]
    return clock


class _Timer:
    """A time that passes, for what waits for it."""

    __slots__ = ("_clock", "_delay", "_late", "_wait", "due")

    def __init__(self, wait: Wait, delay: int, late: bool = False) -> None:
        self._wait = wait
        self._delay = delay
        self._late = late
        self.due = 0

    @property
    def task(self) -> Task:
        """The task that waits."""
        return self._wait.task

    def begin(self) -> None:
        """The time begins now."""
        self._clock = _clock()
        self._clock.add(self, self._delay)

    def cancel(self) -> None:
        """Nobody waits any more, if anybody did."""
        if self.due:
            self._clock.remove(self)

    def fire(self) -> None:
        """Tells the task that the time has passed."""
        self.task.resume(error=TimeoutError(f"nothing came within {self._delay} ms") if self._late else None)


class _Timed(Wait):
    """What waits with a timer."""

    __slots__ = ()
    timer: _Timer

    def begin(self) -> None:
        self.timer.begin()

    def cancel(self) -> None:
        self.timer.cancel()


class _Sleep(_Timed):
    """Waits for a time to pass."""

    __slots__ = ("timer",)

    def __init__(self, delay: int) -> None:
        self.timer = _Timer(self, delay)


class _Deadline(_Timed, Group):
    """Waits for a child, but not for ever."""

    __slots__ = ("timer",)

    def __init__(self, delay: int) -> None:
        super().__init__()
        self.missing = 1
        self.timer = _Timer(self, delay, late=True)


async def sleep(seconds: float) -> None:
    """Waits for a time to pass; what the callback is about waits meanwhile. ValueError for a time that is not more than 0."""
    await _Sleep(milliseconds(seconds))


async def wait_for(awaitable: Awaitable[Result], timeout: float) -> Result:
    """Returns what can be awaited, within so many seconds; else closes it and raises TimeoutError.

    ValueError for a time that is not more than 0.
    """
    coroutine = as_coroutine(awaitable)
    try:
        deadline = _Deadline(milliseconds(timeout))
    except ValueError:
        coroutine.close()
        raise
    child = Child(coroutine, deadline)
    try:
        if not child.run():
            await deadline
    finally:
        deadline.cancel()
        child.close()
    return child.result  # type: ignore[no-any-return]


# ---- what is registered


def _sharing(function: Callable[[int], object]) -> Callable[[int], None]:
    def on_tick(context_id: int) -> None:
        clock: _Clock | None = getattr(_dispatch.roots.get(context_id), "_clock", None)
        if clock is None or clock.tick(context_id):
            function(context_id)

    return on_tick


def _set_tick_period(milliseconds: int) -> None:
    # In a test's process another filter may run, which has none of this. And what is no period, the boundary refuses.
    if "on_tick" in _register.NEEDED and isinstance(milliseconds, int) and milliseconds >= 0:
        _clock().set_own(milliseconds)
    else:
        _proxy_wasm.proxy_set_tick_period_milliseconds(milliseconds)


_calls.tick_period = _set_tick_period
_await.AROUND["on_tick"] = _sharing
_register.NEEDED.add("on_tick")
