"""Callbacks that are `async def`: the stream is paused while the coroutine waits, and goes on when it is over.

How it works. A callback that is `async def` returns a coroutine, and a task runs it (`_tasks`). If it ends without waiting, its result
is the callback's, and nothing was paused. If it waits, the callback returns `Action.PAUSE`, and the task is kept in `PENDING`. The
answer to a call finds what waits for it (`_fetch.waiting`) and resumes the task, in the name of the task's context. When the coroutine is
over, the stream is continued in the callback's direction.

While a task waits, the stream's other callbacks of that direction are not made. The proxy holds the bytes, and the latest arguments are
kept. They are made when the task is over, so that no byte passes unseen.

The end of a context closes its coroutines, as `coroutine.close()` has it: their `finally` blocks run. What they waited for is forgotten.
An exception goes to `_dispatch.on_error`, under the callback's name and with the policy of the stream.

`_register` imports this module if a class has an `async def` callback, and registers what `wrap` returns in place of the functions of
`_dispatch`. A filter without one has nothing of it: even the method `fetch` is given to the context classes here.
"""

from __future__ import annotations

from types import CoroutineType

import _proxy_wasm

from proxy_wasm import _dispatch, _fetch, _http
from proxy_wasm._calls import continue_downstream
from proxy_wasm._contexts import RootContext, StreamContext
from proxy_wasm._errors import BadArgumentError
from proxy_wasm._tasks import Task
from proxy_wasm._types import Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Result = int | bool | None
    Callback = Callable[..., Result]
    Held = dict[str, tuple[Any, ...]]

for _context in (RootContext, StreamContext):
    _context.fetch = _fetch.fetch

# ---- which callbacks


class Direction:
    """What the callbacks of a stream's direction have in common: that they are held back together. This one is a connection's."""

    def is_paused(self, context_id: int) -> bool:
        """Tells whether the direction is paused still: the coroutine may have continued it itself."""
        return True

    def pause(self, context_id: int) -> None:
        """Notes that a callback returns Action.PAUSE."""

    def go_on(self, context_id: int) -> None:
        """Continues the direction."""
        continue_downstream()

    def end(self, context_id: int) -> None:
        """Notes that the stream comes to its end."""


_downstream = Direction()
DIRECTIONS: dict[str, Direction] = {"on_new_connection": _downstream, "on_downstream_data": _downstream}
"""The direction of each callback that is held back while a coroutine waits."""

ASYNC: dict[type, tuple[str, ...]] = {
    RootContext: ("on_tick", "on_queue_ready"),
    StreamContext: ("on_new_connection", "on_downstream_data"),
}
"""The callbacks that may be `async def`, by the contexts' base class."""

# Without on_downstream_data a paused connection would go on with its first bytes.
HELD_BACK: dict[str, tuple[str, ...]] = {
    "on_new_connection": ("on_downstream_data", "on_downstream_connection_close"),
    "on_downstream_data": ("on_downstream_connection_close",),
}
"""What a filter needs beside a callback that may be `async def`, whether or not a class overrides it."""

AROUND: dict[str, Callable[[Callback], Callback]] = {}
"""What `timers` puts around a root's callback."""


def _alone(callback: Callback) -> Callback:
    return callback


_PAUSE = Action.PAUSE
_ENDINGS = ("on_downstream_connection_close", "on_done", "on_log", "on_delete")


def needed(names: Iterable[str]) -> set[str]:
    """Returns the callbacks that a filter needs in which callbacks of these names are `async def`."""
    return {"on_http_call_response", "on_delete"}.union(*(HELD_BACK.get(name, ()) for name in names))


def wrap(name: str, function: Callback) -> Callback:
    """Returns what to register for a callback in place of a function of `_dispatch`."""
    if name in DIRECTIONS:
        return _of_stream(name, function)
    if name in ASYNC[RootContext]:
        return AROUND.get(name, _alone)(_of_root(name))
    if name in _ENDINGS:
        return _ending(name, function)
    return _answering(function) if name == "on_http_call_response" else function


def awaits(name: str) -> bool:
    """Tells whether the boundary is to drive a method's coroutine, as `_begin` does."""
    return name in DIRECTIONS


# ---- the callbacks' tasks

PENDING: dict[int, list[_CallbackTask]] = _proxy_wasm.Table()
"""The tasks that wait, by context: at most one for each direction of a stream."""


class _CallbackTask(Task):
    """A callback's coroutine; `held` has the callbacks that came while it waited.

    The boundary makes most of them itself, resumes them, and calls the methods below in all other cases (awaiting.h).
    """

    __slots__ = ()

    def resume(self, value: object = None, error: BaseException | None = None) -> None:
        try:
            over = self.run(value, error)
        except BaseException as raised:
            self.broke(raised)
        else:
            if over:
                self.end()

    def resume_with(self, error: BaseException) -> None:
        """Goes on with an exception where the coroutine waits."""
        self.resume(error=error)

    def end(self) -> None:
        """The coroutine is over, and has a result."""
        try:
            action = _checked(self.name, self.result) if self.name in DIRECTIONS else None
        except TypeError as error:
            action = self.failed(self.name, error)
        self._end(action)

    def broke(self, error: BaseException) -> None:
        """The coroutine raised."""
        self._end(self.failed(self.name, error))

    def refused(self, error: BaseException) -> None:
        """The direction could not be continued."""
        self.failed(self.name, error)

    def lost(self) -> None:
        """The context is gone."""
        close_tasks(self.context_id, "on_delete")

    def _end(self, action: Result) -> None:
        tasks = PENDING[self.context_id]
        if len(tasks) > 1:
            tasks.remove(self)
        else:
            del PENDING[self.context_id]
        direction = DIRECTIONS.get(self.name)
        if direction is not None:
            self._go_on(direction, action)

    def failed(self, name: str, error: BaseException) -> Result:
        """Logs an exception and returns the failure policy's action."""
        action = _dispatch.on_error("proxy_" + name, self.context_id, error)
        if action:
            # The stream is closed: what was held back must not let it go on.
            self.held = None
        return action

    def _go_on(self, direction: Direction, action: Result) -> None:
        """Makes the callbacks that were held back, and continues the stream unless the last one says otherwise."""
        paused = direction.is_paused(self.context_id)
        while self.held:
            name = next(iter(self.held))
            arguments = self.held.pop(name)
            try:
                _proxy_wasm.speak_for(self.context_id)
                result = _begin(
                    self.context_id, name, _dispatch.CALLBACKS[name](self.context_id, *arguments), self.held
                )
                if _waits(self.context_id, name) is not None:
                    return
                action = _checked(name, result)
            except BaseException as error:
                action = self.failed(name, error)
        if paused and not action:
            try:
                # Its coroutine may have spoken for another.
                _proxy_wasm.speak_for(self.context_id)
                direction.go_on(self.context_id)
            except BaseException as error:
                self.refused(error)


_proxy_wasm.set_tasks(_CallbackTask, CoroutineType, _PAUSE, _fetch.milliseconds)


def _begin(context_id: int, name: str, result: Any, held: Held | None = None) -> Any:
    """Runs what a callback returned if it is a coroutine, and returns the callback's result."""
    if type(result) is not CoroutineType:
        return result
    task = _CallbackTask(result)
    task.context_id, task.name, task.held = context_id, name, held
    if task.run():
        if task.result is _PAUSE and name in DIRECTIONS:
            DIRECTIONS[name].pause(context_id)
        return task.result
    tasks = PENDING.get(context_id)
    if tasks is None:
        PENDING[context_id] = [task]
    else:
        tasks.append(task)
    if name in DIRECTIONS:
        DIRECTIONS[name].pause(context_id)
    return _PAUSE


def _checked(name: str, result: object) -> Result:
    if result is None or type(result) is Action:
        return result
    # As the boundary says it of other callbacks.
    raise TypeError(f"{name}() returned {result!r}: return a proxy_wasm.Action, or nothing")


def _waits(context_id: int, name: str) -> _CallbackTask | None:
    """Returns the task for which a callback has to wait."""
    direction = DIRECTIONS.get(name, name)
    for task in PENDING.get(context_id, ()):
        if DIRECTIONS.get(task.name, task.name) is direction:
            return task
    return None


def close_tasks(context_id: int, ending: str) -> None:
    """Closes the coroutines of a context that comes to its end."""
    for task in PENDING.pop(context_id, ()):
        try:
            if task.name in DIRECTIONS:
                DIRECTIONS[task.name].end(context_id)
            task.close()
        except BaseException as error:
            _dispatch.on_error("proxy_" + ending, context_id, error)


def close_all() -> None:
    """Closes all coroutines: a test's VM is gone."""
    for context_id in list(PENDING):
        close_tasks(context_id, "on_delete")


# ---- what is registered


def _of_stream(name: str, function: Callback) -> Callback:
    def callback(context_id: int, *arguments: Any) -> Any:
        task = _waits(context_id, name)
        if task is not None:
            if task.held is None:
                task.held = {}
            task.held[name] = arguments
            DIRECTIONS[name].pause(context_id)
            return _PAUSE
        return _begin(context_id, name, function(context_id, *arguments))

    return callback


def _of_root(name: str) -> Callback:
    def callback(context_id: int, *arguments: Any) -> None:
        root = _dispatch.roots.get(context_id)
        # Ticks that come too fast would pile up; a queue's entries each count.
        if root is not None and not (name == "on_tick" and _waits(context_id, name)):
            _begin(context_id, name, getattr(root, name)(*arguments))

    return callback


def _ending(name: str, function: Callback) -> Callback:
    def callback(context_id: int, *arguments: Any) -> Result:
        # A root that returned False from on_done goes on until on_delete.
        if name == "on_delete" or context_id not in _dispatch.roots:
            close_tasks(context_id, name)
        return function(context_id, *arguments)

    return callback


def _answering(function: Callback) -> Callback:
    def callback(context_id: int, call: int, *sizes: int) -> Result:
        wait = _fetch.waiting.pop(call, None)
        if wait is None:
            return function(context_id, call, *sizes)
        task = wait.task
        if speak_for(task, context_id):
            try:
                answer = _http.get_http_answer()
            except BaseException as error:
                task.resume(error=error)
            else:
                task.resume(answer)
        return None

    return callback


def speak_for(task: Task, context_id: int) -> bool:
    """Makes host calls in the name of a task's context, in another context's callback; False if it is gone, and its tasks are closed."""
    if task.context_id != context_id:
        try:
            _http.set_effective_context(task.context_id)
        except BadArgumentError:
            close_tasks(task.context_id, "on_delete")
            return False
    return True
