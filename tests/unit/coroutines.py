"""What the tests of awaiting filters share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import proxy_wasm
from proxy_wasm import Action, FailurePolicy, StreamContext, _await, _fetch
from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.lifecycle import Vm

OK = [(b":status", b"200")]

OnNewConnection = Callable[[Any], Coroutine[Any, Any, Action | None]]


def plugin(
    on_new_connection: OnNewConnection | None = None, policy: FailurePolicy = FailurePolicy.CONTINUE, /, **more: Any
) -> type[proxy_wasm.RootContext]:
    """Returns a filter from its stream's methods."""
    if on_new_connection is not None:
        more["on_new_connection"] = on_new_connection
    stream = type("Stream", (StreamContext,), more)
    return type("Plugin", (proxy_wasm.RootContext,), {"stream_context": stream, "failure_policy": policy})


async def ask(stream: StreamContext) -> Action | None:
    """Lets the connection go on if the answer is 200."""
    answer = await stream.fetch("authz", "/check")
    print("answer", answer.status, answer.body)
    if answer.status != 200:
        proxy_wasm.close_downstream()
    return None


def waiting(vm: Vm) -> list[int]:
    """Returns the calls that were not answered."""
    return [call for call, made in vm.host.http_calls.items() if not made.answered]


def answer(vm: Vm, *order: int) -> None:
    """Answers calls that wait, in this order, each with its place in the order of calling."""
    calls = waiting(vm)
    for place in order:
        vm.http_call_response(calls[place], OK, b"%d" % place)


def connect(vm: Vm) -> Connection:
    """Returns a new connection, from which is read while it is paused."""
    connection = vm.connection(early_data=True)
    connection.new_connection()
    return connection


def went_on(connection: Connection) -> bool:
    """Tells whether the connection goes on, by now."""
    return connection.goes_on


def kept() -> tuple[int, int]:
    """Returns how many contexts have coroutines that wait, and how many calls they wait for."""
    return len(_await.PENDING), len(_fetch.waiting)
