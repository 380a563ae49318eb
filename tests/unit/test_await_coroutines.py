"""What coroutines can do in a filter, and what they leave behind: closed with their connection, several at once, never answered."""

from __future__ import annotations

import datetime
import functools
import gc
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import proxy_wasm
from proxy_wasm import Action, HttpAnswer, StreamContext, _await, _fetch, _http, gather
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import HostStatus
from tests.unit.coroutines import OK, answer, ask, connect, kept, plugin, waiting, went_on


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not (_await.PENDING or _fetch.waiting or _http.callers or _http.open_calls)


# ---- the end of a connection


def test_a_coroutine_is_closed_with_its_connection() -> None:
    def say(name: str) -> Callable[..., None]:
        return lambda *_: print(name)

    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        try:
            yield
        finally:
            print("released")

    async def wait(stream: StreamContext) -> None:
        try:
            async with resource():
                await gather(stream.fetch("authz"), stream.fetch("authz"))
        except Exception:
            print("never: it is no failure")
        finally:
            print("finally")

    endings = ("on_downstream_connection_close", "on_done", "on_log", "on_delete")
    for names in (endings, endings[2:], ()):
        with InProcess(plugin(wait, **{name: say(name) for name in names})) as vm:
            vm.start()
            connection = connect(vm)
            assert kept() == (1, 2)
            connection.close()
            assert kept() == (0, 0)
            assert vm.host.lines() == ["released", "finally", *names]
            for call in waiting(vm):
                vm.http_call_response(call, OK)
            assert vm.host.lines(4) == []
        assert connection.context.continued == connection.context.closed == []


def test_who_waits_at_the_end_is_ended() -> None:
    async def wait(stream: StreamContext) -> None:
        try:
            await stream.fetch("authz")
        finally:
            await stream.fetch("audit")

    with InProcess(plugin(wait)) as vm:
        vm.start()
        connection = connect(vm)
        connection.close()
        assert "coroutine ignored GeneratorExit" in vm.host.lines(4)[-1]
        assert kept() == (0, 0)
        for call in waiting(vm):
            vm.http_call_response(call, OK)


def test_the_end_of_the_vm_closes_what_waits() -> None:
    ended = []

    async def wait(stream: StreamContext) -> None:
        try:
            await stream.fetch("authz")
        finally:
            ended.append(stream.context_id)

    with InProcess(plugin(wait)) as vm:
        vm.start()
        connect(vm)
        connect(vm)
    assert ended == [2, 3]


class Shifty(Host):
    """A host that knows no context when it is asked to speak for it."""

    def proxy_set_effective_context(self, context_id: int) -> None:
        raise HostStatus("BAD_ARGUMENT")


def test_a_host_that_does_not_know_the_context_any_more() -> None:
    with InProcess(plugin(ask), Shifty()) as vm:
        vm.start()
        connect(vm)
        vm.http_call_response(waiting(vm)[0], OK)
        assert kept() == (0, 0)
        assert vm.host.logs == []


def _grown(life: Callable[[], None], lives: int) -> int:
    """Returns how many blocks of memory so many lives leave behind."""
    for _ in range(100):
        life()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(lives):
        life()
    gc.collect()
    return sys.getallocatedblocks() - before


@pytest.mark.parametrize(("how", "lives"), [("never answered", 10_000), ("answered late", 1000), ("one fails", 2000)])
def test_calls_that_lead_nowhere_leave_nothing_behind(how: str, lives: int) -> None:
    async def wait(stream: StreamContext) -> None:
        await gather(fail(stream), *[stream.fetch("authz") for _ in range(9)])

    async def fail(stream: StreamContext) -> None:
        await stream.fetch("authz")
        raise ValueError

    with InProcess(plugin(wait)) as vm:
        vm.start()

        def life() -> None:
            connection = connect(vm)
            if how == "one fails":
                vm.http_call_response(waiting(vm)[0], OK)
            connection.close()
            for call in waiting(vm) if how == "answered late" else ():
                vm.http_call_response(call, OK)
            vm.host.http_calls.clear()
            vm.host.logs.clear()
            vm.take_failures()

        # Each life makes ten calls, and what one of them left would be a block at least. The interpreter itself keeps some dozens.
        assert _grown(life, lives) < lives / 4


# ---- several at once


def test_several_at_once() -> None:
    async def three(stream: StreamContext) -> None:
        first, second, third = await gather(stream.fetch("authz", "/0"), helper(stream), now())
        print(first.body, second, third)
        print([answer.body for answer in await gather(*[stream.fetch("authz") for _ in range(3)])])
        print(await gather())

    async def helper(stream: StreamContext) -> bytes:
        return (await gather(stream.fetch("authz", "/1"), stream.fetch("authz", "/2")))[1].body

    async def now() -> str:
        return "now"

    with InProcess(plugin(three)) as vm:
        vm.start()
        connection = connect(vm)
        answer(vm, 2, 0, 1)
        assert vm.host.lines() == ["b'0' b'2' now"]
        answer(vm, 1, 2, 0)
        assert vm.host.lines()[1:] == ["[b'0', b'1', b'2']", "()"]
        assert went_on(connection)


def test_the_first_failure_closes_the_others() -> None:
    async def two(stream: StreamContext) -> None:
        try:
            await gather(closed(stream), fail(stream), closed(stream))
        except ValueError as error:
            print("caught", error)

    async def fail(stream: StreamContext) -> None:
        await stream.fetch("authz")
        raise ValueError("on purpose")

    async def closed(stream: StreamContext) -> None:
        try:
            await stream.fetch("authz")
        finally:
            print("closed")

    with InProcess(plugin(two)) as vm:
        vm.start()
        connection = connect(vm)
        calls = waiting(vm)
        vm.http_call_response(calls[1], OK)
        assert vm.host.lines() == ["closed", "closed", "caught on purpose"]
        assert went_on(connection)
        for call in (calls[0], calls[2]):
            vm.http_call_response(call, OK)
        assert len(vm.host.logs) == 3


def test_a_call_that_is_refused_at_once_closes_the_others() -> None:
    async def two(stream: StreamContext) -> None:
        try:
            await gather(stream.fetch("authz"), stream.fetch("none"), stream.fetch("authz"))
        except proxy_wasm.BadArgumentError as error:
            print(error, kept())

    with InProcess(plugin(two)) as vm:
        vm.host.clusters = {b"authz"}
        vm.start()
        assert went_on(connect(vm))
        assert vm.host.lines() == [
            "proxy_http_call (none): status 2; is the cluster in the proxy's configuration? (0, 0)"
        ]


def test_a_close_that_fails_closes_the_others_too() -> None:
    async def stubborn(stream: StreamContext) -> None:
        try:
            await stream.fetch("authz")
        finally:
            raise KeyError("on purpose")

    async def two(stream: StreamContext) -> None:
        await gather(stubborn(stream), stream.fetch("authz"))

    with InProcess(plugin(two)) as vm:
        vm.start()
        connection = connect(vm)
        connection.close()
        assert kept() == (0, 0)
        assert vm.host.lines(4)[-1].endswith("KeyError: 'on purpose'")


# ---- what Python's coroutines can do


def test_generators_and_awaitables_of_the_author_s_own() -> None:
    class Later:
        def __init__(self, stream: StreamContext) -> None:
            self.stream = stream

        def __await__(self) -> Generator[Any, Any, HttpAnswer]:
            return self.stream.fetch("authz").__await__()

    async def answers(stream: StreamContext) -> AsyncIterator[HttpAnswer]:
        for _ in range(3):
            yield await stream.fetch("authz")

    async def all_of_them(stream: StreamContext) -> None:
        print([answer.body async for answer in answers(stream)])
        (answer,) = await gather(Later(stream))
        print(answer.body)

    with InProcess(plugin(all_of_them)) as vm:
        vm.start()
        connection = connect(vm)
        for number in range(4):
            vm.http_call_response(waiting(vm)[0], OK, b"%d" % number)
        assert vm.host.lines() == ["[b'0', b'1', b'2']", "b'3'"]
        assert went_on(connection)


def test_what_the_proxy_never_answers_is_an_exception() -> None:
    class Never:
        def __await__(self) -> Generator[str, Any, None]:
            yield "a message to another loop"

    async def wait(stream: StreamContext) -> None:
        try:
            await Never()
        except TypeError as error:
            print(error)

    with InProcess(plugin(wait)) as vm:
        vm.start()
        assert went_on(connect(vm))
        assert vm.host.lines() == ["awaited 'a message to another loop', which the proxy never answers"]


def test_an_answer_that_cannot_be_read_is_raised_where_it_is_awaited() -> None:
    class Hostile(Host):
        def proxy_get_header_map_pairs(self, map: int) -> bytes:
            return b"\xff"

    async def wait(stream: StreamContext) -> None:
        try:
            await stream.fetch("authz")
        except ValueError as error:
            print(error)

    with InProcess(plugin(wait), Hostile()) as vm:
        vm.start()
        connect(vm)
        vm.http_call_response(waiting(vm)[0], OK)
        assert vm.host.lines() == ["header map: cut off, or a text does not end in a zero byte"]


# ---- what is asked


def test_a_request_has_what_is_given() -> None:
    async def post(stream: StreamContext) -> None:
        own: list[tuple[str | bytes, str | bytes]] = [(":path", "/own"), (b":method", b"PUT"), ("x-user", "me")]
        await stream.fetch(
            "authz",
            "/check",
            method="POST",
            authority="a.example",
            headers=own,
            body="?",
            trailers={"t": "1"},
            timeout=0.25,
        )

    async def get(stream: StreamContext) -> None:
        await stream.fetch(b"authz", headers={"x-user": b"me"}, timeout=0.0001)

    for function, headers, body, trailers, milliseconds in (
        (
            post,
            [(b":method", b"POST"), (b":path", b"/check"), (b":authority", b"a.example"), (b"x-user", b"me")],
            b"?",
            [(b"t", b"1")],
            250,
        ),
        (get, [(b":method", b"GET"), (b":path", b"/"), (b":authority", b"authz"), (b"x-user", b"me")], b"", [], 1),
    ):
        with InProcess(plugin(function)) as vm:
            vm.start()
            connect(vm)
            (made,) = vm.host.http_calls.values()
            assert (made.headers, made.body, made.trailers, made.timeout_milliseconds) == (
                headers,
                body,
                trailers,
                milliseconds,
            )


@pytest.mark.parametrize(
    ("timeout", "needed"),
    [
        *((timeout, "more than 0 seconds") for timeout in (0, -1, float("nan"))),
        *((timeout, "a number of seconds") for timeout in ("1", None, datetime.timedelta(1))),
    ],
)
def test_a_call_needs_time(timeout: Any, needed: str) -> None:
    async def wait(stream: StreamContext) -> None:
        await stream.fetch("authz", timeout=timeout)

    with InProcess(plugin(wait)) as vm:
        vm.start()
        connect(vm)
        assert f"timeout must be {needed}, not {timeout!r}" in vm.host.lines(4)[-1]
        assert not waiting(vm)


# ---- decorated callbacks


def test_a_decorated_callback_waits_too() -> None:
    def logged(method: Any) -> Any:
        @functools.wraps(method)
        def wrapper(*arguments: Any) -> object:
            print("before")
            return method(*arguments)

        return wrapper

    with InProcess(plugin(logged(logged(ask)))) as vm:
        vm.start()
        connection = vm.connection()
        assert connection.new_connection() == Action.PAUSE
        answer(vm, 0)
        assert vm.host.lines() == ["before", "before", "answer 200 b'0'"]
        assert connection.goes_on
        connection.close()


def test_a_decorated_callback_that_cannot_wait_says_so() -> None:
    @functools.wraps(ask)
    def on_log(self: StreamContext) -> object:
        return ask(self)

    stream = type("Stream", (StreamContext,), {"on_log": on_log})
    with (
        pytest.raises(TypeError, match="on_log: it is async def, but it comes at the end"),
        InProcess(type("Root", (proxy_wasm.RootContext,), {"stream_context": stream})),
    ):
        pass
