"""Callbacks that are `async def`: the stream waits for them, and goes on; what comes meanwhile is held back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

import proxy_wasm
from proxy_wasm import Action, Buffer, FailurePolicy, StreamContext, _await, _dispatch, _fetch, _http
from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import DOWNSTREAM, DOWNSTREAM_DATA, HostStatus
from tests.unit.coroutines import OK, answer, ask, connect, kept, plugin, waiting, went_on

HEADERS = {":method": "GET", ":path": "/", ":authority": "a"}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not (_await.PENDING or _fetch.waiting or _http.callers or _http.open_calls)


# ---- the stream waits, and goes on


@pytest.mark.parametrize("status", [200, 403])
def test_a_connection_waits_for_the_answer(status: int) -> None:
    with InProcess(plugin(ask)) as vm:
        vm.start()
        connection = vm.connection(early_data=True)
        assert connection.new_connection() == Action.PAUSE
        assert kept() == (1, 1)
        (call,) = waiting(vm)
        vm.http_call_response(call, [(b":status", b"%d" % status)], b"body")
        assert vm.host.lines() == [f"answer {status} b'body'"]
        assert went_on(connection) == (status == 200)
        assert kept() == (0, 0)
        assert vm.root.continued == vm.root.closed == []
        connection.close()
    assert connection.context.continued == [DOWNSTREAM]


def test_who_never_waits_pauses_nothing() -> None:
    async def say(stream: StreamContext) -> Action | None:
        await helper()
        return Action.CONTINUE

    async def helper() -> None:
        print("no wait")

    with InProcess(plugin(say)) as vm:
        vm.start()
        connection = vm.connection()
        assert connection.new_connection() == Action.CONTINUE
        connection.close()
        assert vm.host.lines() == ["no wait"]
        assert connection.context.continued == []


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("action", [None, Action.CONTINUE, Action.PAUSE, True, 0])
def test_the_result_decides(action: Any, waits: bool) -> None:
    async def decide(stream: StreamContext) -> Action | None:
        if waits:
            await stream.fetch("authz")
        return action  # type: ignore[no-any-return]

    with InProcess(plugin(decide, FailurePolicy.CLOSE)) as vm:
        vm.start()
        connection = connect(vm)
        for call in waiting(vm):
            vm.http_call_response(call, OK)
        wrong = type(action) in (bool, int)
        assert went_on(connection) == (not wrong and action != Action.PAUSE)
        assert connection.context.closed == ([DOWNSTREAM] if wrong else [])
        mistake = f"TypeError: on_new_connection() returned {action!r}: return a proxy_wasm.Action, or nothing"
        assert [line for line in vm.host.lines(4) if mistake in line] == vm.host.lines(4)[-1:][: int(wrong)]


def test_one_after_the_other() -> None:
    async def twice(stream: StreamContext) -> None:
        for path in ("/first", "/second"):
            print((await stream.fetch("authz", path)).body)

    with InProcess(plugin(twice)) as vm:
        vm.start()
        first, second = connect(vm), connect(vm)
        assert len(waiting(vm)) == 2
        for number in range(4):
            assert not (went_on(first) and went_on(second))
            vm.http_call_response(waiting(vm)[0], OK, b"%d" % number)
        assert went_on(first) and went_on(second)
        paths = [dict(made.headers)[b":path"] for made in vm.host.http_calls.values()]
        assert paths == [b"/first", b"/first", b"/second", b"/second"]
        assert vm.host.lines() == ["b'0'", "b'1'", "b'2'", "b'3'"]


def test_first_bytes_wait_and_are_there_after_the_wait() -> None:
    class Stream(StreamContext):
        async def on_downstream_data(self, size: int, end_of_stream: bool) -> None:
            answer = await self.fetch("authz")
            print(size, end_of_stream, proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA), answer.status)

    with InProcess(type("Plugin", (proxy_wasm.RootContext,), {"stream_context": Stream})) as vm:
        vm.start()
        connection = vm.connection()
        assert connection.new_connection() == Action.CONTINUE
        assert connection.downstream_data(b"hello") == Action.PAUSE
        vm.http_call_response(waiting(vm)[0], OK)
        assert connection.context.buffers.get(DOWNSTREAM_DATA) is None
        assert connection.downstream_data(b"", end_of_stream=True) == Action.PAUSE
        vm.http_call_response(waiting(vm)[0], OK)
        assert vm.host.lines() == ["5 False b'hello' 200", "0 True b'' 200"]
        assert connection.context.continued == [DOWNSTREAM, DOWNSTREAM]


# ---- what comes while it waits


def test_bytes_that_come_meanwhile_are_held_back_and_seen_before_they_pass() -> None:
    def seen(stream: StreamContext, size: int, end_of_stream: bool) -> Action | None:
        print(size, end_of_stream, proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA))
        return None if end_of_stream else Action.PAUSE

    with InProcess(plugin(ask, on_downstream_data=seen)) as vm:
        vm.start()
        connection = connect(vm)
        for data, end in ((b"ab", False), (b"c", True)):
            assert connection.downstream_data(data, end) == Action.PAUSE
        assert vm.host.lines() == []
        vm.http_call_response(waiting(vm)[0], OK)
        assert vm.host.lines()[1:] == ["3 True b'abc'"]
        assert went_on(connection)

        # The callback has not seen enough: it is asked again with more.
        connection = connect(vm)
        connection.downstream_data(b"ab")
        vm.http_call_response(waiting(vm)[0], OK)
        assert not went_on(connection)
        assert connection.downstream_data(b"c", end_of_stream=True) == Action.CONTINUE
        assert vm.host.lines()[-2:] == ["2 False b'ab'", "3 True b'abc'"]


def test_bytes_are_held_back_without_a_callback_for_them() -> None:
    with InProcess(plugin(ask)) as vm:
        vm.start()
        connection = connect(vm)
        assert connection.downstream_data(b"ab") == Action.PAUSE
        assert not went_on(connection)
        vm.http_call_response(waiting(vm)[0], OK)
        assert went_on(connection)


def test_what_is_held_back_may_wait_too() -> None:
    class Stream(StreamContext):
        async def on_new_connection(self) -> None:
            await self.fetch("authz", "/connection")

        async def on_downstream_data(self, size: int, end_of_stream: bool) -> None:
            await self.fetch("authz", f"/{size}")
            print(size)

    with InProcess(type("Plugin", (proxy_wasm.RootContext,), {"stream_context": Stream})) as vm:
        vm.start()
        connection = connect(vm)
        connection.downstream_data(b"ab")
        vm.http_call_response(waiting(vm)[0], OK)
        connection.downstream_data(b"c")
        assert not went_on(connection)
        vm.http_call_response(waiting(vm)[0], OK)
        assert not went_on(connection)
        assert connection.downstream_data(b"d", end_of_stream=True) == Action.PAUSE
        for _ in range(2):
            vm.http_call_response(waiting(vm)[0], OK)
        assert went_on(connection)
        assert vm.host.lines() == ["2", "3", "4"]


@pytest.mark.parametrize("policy", FailurePolicy)
def test_the_policy_holds_for_what_is_held_back(policy: FailurePolicy) -> None:
    def fail(stream: StreamContext, size: int, end_of_stream: bool) -> None:
        raise RuntimeError("on purpose")

    with InProcess(plugin(ask, policy, on_downstream_data=fail)) as vm:
        vm.start()
        connection = connect(vm)
        connection.downstream_data(b"ab")
        vm.http_call_response(waiting(vm)[0], OK)
        assert went_on(connection) == (policy is FailurePolicy.CONTINUE)
        assert vm.host.lines(4)[-1].startswith(
            f"proxy_on_downstream_data (context {connection.context_id}): RuntimeError"
        )


@pytest.mark.parametrize("early", [False, True], ids=["before the wait", "after the wait"])
@pytest.mark.parametrize("policy", FailurePolicy)
def test_an_exception_is_for_the_policy_of_its_connection(policy: FailurePolicy, early: bool) -> None:
    async def fail(stream: StreamContext) -> None:
        if not early:
            await stream.fetch("authz")
        await helper()

    async def helper() -> None:
        raise RuntimeError("on purpose")

    def pass_all(stream: StreamContext, size: int, end_of_stream: bool) -> None:
        print("not asked if the connection is closed")

    with InProcess(plugin(fail, policy, on_downstream_data=pass_all)) as vm:
        vm.start()
        connection = connect(vm)
        if not early:
            connection.downstream_data(b"x")
        for call in waiting(vm):
            vm.http_call_response(call, OK)
        closing = policy is FailurePolicy.CLOSE
        assert connection.context.closed == ([DOWNSTREAM] if closing else [])
        assert went_on(connection) == (not closing)
        assert len(vm.host.lines(2)) == (not closing and not early)
        assert (vm.root.closed, vm.root.continued) == ([], [])
        errors = vm.host.lines(4)
        prefix = f"proxy_on_new_connection (context {connection.context_id}): "
        assert [line for line in errors if line.startswith(prefix)] == errors
        assert errors[-1] == prefix + "RuntimeError: on purpose"
        assert [name for name in ("in fail", "in helper") if any(line.endswith(name) for line in errors)] == [
            "in fail",
            "in helper",
        ]


# ---- roots


class Asking(proxy_wasm.RootContext):
    done = True

    async def on_tick(self) -> None:
        print("tick", (await self.fetch("policy")).body)

    async def on_queue_ready(self, queue: int) -> None:
        print("queue", queue, (await self.fetch("policy")).body)

    def on_done(self) -> bool:
        return self.done


def test_a_tick_that_comes_too_early_is_left_out() -> None:
    with InProcess(Asking) as vm:
        vm.start()
        for _ in range(3):
            vm.tick()
        answer(vm, 0)
        vm.tick()
        answer(vm, 0)
        assert vm.host.lines() == ["tick b'0'", "tick b'0'"]
        assert len(vm.host.http_calls) == 2
        assert (vm.root.continued, vm.root.closed) == ([], [])


def test_entries_of_queues_are_dealt_with_at_once() -> None:
    with InProcess(Asking) as vm:
        vm.start()
        for queue in (7, 8):
            vm.queue_ready(queue)
        answer(vm, 1, 0)
        assert vm.host.lines() == ["queue 8 b'1'", "queue 7 b'0'"]
        assert vm.exports & {"proxy_on_downstream_data", "proxy_on_downstream_connection_close"} == set()


@pytest.mark.parametrize("stays", [False, True])
def test_a_root_that_stays_hears_its_answers(stays: bool) -> None:
    with InProcess(type("Plugin", (Asking,), {"done": not stays})) as vm:
        vm.start()
        vm.tick()
        assert vm.shutdown() == (not stays)
        assert kept() == ((1, 1) if stays else (0, 0))
        if stays:
            answer(vm, 0)
            assert vm.host.lines() == ["tick b'0'"]


def test_an_exception_of_a_root_concerns_no_connection() -> None:
    class Failing(proxy_wasm.RootContext):
        failure_policy = FailurePolicy.CLOSE

        async def on_tick(self) -> None:
            await self.fetch("policy")
            raise RuntimeError("on purpose")

    with InProcess(Failing) as vm:
        vm.start()
        vm.tick()
        answer(vm, 0)
        assert vm.host.lines(4)[-1] == "proxy_on_tick (context 1): RuntimeError: on purpose"
        assert (vm.root.continued, vm.root.closed) == ([], [])


# ---- beside callbacks


def test_callbacks_and_coroutines_mix() -> None:
    class Stream(StreamContext):
        async def on_new_connection(self) -> Action:
            self_made = proxy_wasm.http_call("authz", HEADERS)
            print("awaited", (await self.fetch("authz")).body, self_made)
            print("made", proxy_wasm.http_call("authz", HEADERS))
            return Action.PAUSE

        def on_http_call_response(self, call: int, header_count: int, body_size: int, trailer_count: int) -> None:
            print("callback", call)
            if call == 12:
                proxy_wasm.continue_downstream()

    with InProcess(type("Plugin", (proxy_wasm.RootContext,), {"stream_context": Stream})) as vm:
        vm.start()
        connection = connect(vm)
        answer(vm, 1, 0)
        assert not went_on(connection)
        answer(vm, 0)
        assert went_on(connection)
        assert vm.host.lines() == ["awaited b'1' 4", "made 12", "callback 4", "callback 12"]
        connection.close()


def test_a_coroutine_speaks_for_its_own_context_again_after_a_wait() -> None:
    other: list[Connection] = []

    async def wait(stream: StreamContext) -> None:
        await stream.fetch("authz")
        proxy_wasm.set_effective_context(other[0].context_id)

    with InProcess(plugin(wait)) as vm:
        vm.start()
        other.append(connect(vm))
        connection = connect(vm)
        vm.http_call_response(waiting(vm)[1], OK)
        assert (went_on(connection), went_on(other[0])) == (True, False)


def test_a_host_that_continues_nothing() -> None:
    class Stuck(Host):
        def proxy_continue_stream(self, stream: int) -> None:
            raise HostStatus("UNIMPLEMENTED")

    with InProcess(plugin(ask, FailurePolicy.CLOSE), Stuck()) as vm:
        vm.start()
        connection = connect(vm)
        vm.http_call_response(waiting(vm)[0], OK)
        assert connection.context.closed == [DOWNSTREAM]
        assert "UnimplementedError" in vm.host.lines(4)[-1]


# ---- what a filter without coroutines has of all this: nothing


def test_exports() -> None:
    with InProcess(plugin(ask)) as vm:
        needed = {"proxy_on_http_call_response", "proxy_on_downstream_data", "proxy_on_downstream_connection_close"}
        assert vm.exports >= needed
    with InProcess(plugin(on_new_connection=lambda self: None)) as vm:
        assert not vm.exports & needed
        assert "await" not in _dispatch.CALLBACKS["on_new_connection"].__module__


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="module 'proxy_wasm' has no attribute 'asleep'"):
        proxy_wasm.asleep  # noqa: B018
    assert proxy_wasm.gather is sys.modules["proxy_wasm._tasks"].gather
