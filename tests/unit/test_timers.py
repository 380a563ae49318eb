"""Waiting for a time: what sleeps is woken in its own name, what has a deadline meets it or not, and the filter keeps its own tick."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from proxy_wasm import (
    Action,
    FailurePolicy,
    HttpContext,
    RootContext,
    StreamContext,
    _await,
    _fetch,
    gather,
    set_tick_period,
)
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.timers import sleep, wait_for

OK = {":status": "200"}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    yield
    assert not (_await.PENDING or _fetch.waiting)


def plugin(wait: Callable[[Any], Awaitable[object]], own: int = 0) -> type[RootContext]:
    class Request(HttpContext):
        async def on_request_headers(self, header_count: int, end_of_stream: bool) -> Action | None:
            print("got", await wait(self))
            self.request_headers["x-waited"] = "yes"
            return None

    class Connection(StreamContext):
        async def on_new_connection(self) -> None:
            print("got", await wait(self))

    class Root(RootContext):
        http_context = Request
        stream_context = Connection
        failure_policy = FailurePolicy.CLOSE

        def on_configure(self, configuration: bytes) -> bool:
            if own:
                set_tick_period(own)
            return True

        def on_tick(self) -> None:
            print("own tick")

    return Root


def period(vm: InProcess) -> int:
    return vm.host.tick_periods.get(vm.root.context_id, 0)


def test_a_request_sleeps_and_goes_on_in_its_own_name() -> None:
    with InProcess(plugin(lambda stream: sleep(0.25))) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert exchange.upstream.headers is None and period(vm) == 250
        vm.tick()
        assert exchange.upstream.header("x-waited") == b"yes"
        assert period(vm) == 0 and vm.host.lines() == ["got None"]
        exchange.close()


def test_a_connection_sleeps() -> None:
    with InProcess(plugin(lambda stream: sleep(0.001))) as vm:
        vm.start()
        connection = vm.connection()
        assert connection.new_connection() == Action.PAUSE
        vm.tick()
        assert connection.goes_on
        connection.close()


def test_several_sleep_and_each_is_woken_in_its_time() -> None:
    async def wait(stream: HttpContext) -> object:
        seconds = float(stream.request_headers["x-seconds"])
        await sleep(seconds)
        return seconds

    with InProcess(plugin(wait)) as vm:
        vm.start()
        exchanges = []
        for seconds in ("0.3", "0.1", "0.2"):
            exchanges.append(vm.exchange())
            exchanges[-1].request({"x-seconds": seconds})
        for left in (100, 100, 100):
            assert period(vm) == left
            vm.tick()
        assert vm.host.lines() == ["got 0.1", "got 0.2", "got 0.3"] and period(vm) == 0
        for exchange in exchanges:
            exchange.close()


def test_what_has_passed_of_a_period_counts() -> None:
    with InProcess(plugin(lambda stream: sleep(0.1))) as vm:
        vm.start()
        first, second = vm.exchange(), vm.exchange()
        first.request()
        vm.host.now += 60 * 10**6
        second.request()
        assert period(vm) == 100  # the first one's, which has 40 left
        vm.tick()
        assert first.upstream.header("x-waited") and not second.upstream.header("x-waited") and period(vm) == 60
        vm.tick()
        assert second.upstream.header("x-waited")
        first.close()
        second.close()


def test_a_clock_that_is_set_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    with InProcess(plugin(lambda stream: sleep(0.1))) as vm:
        monkeypatch.setattr(vm.host, "proxy_get_current_time_nanoseconds", iter([10**15, 1, 10**18]).__next__)
        vm.start()
        first, second = vm.exchange(), vm.exchange()
        first.request()
        vm.host.now += 60 * 10**6
        second.request()
        for left in (100, 60):
            assert period(vm) == left
            vm.tick()
        assert vm.host.lines() == ["got None", "got None"] and period(vm) == 0
        first.close()
        second.close()


@pytest.mark.parametrize(("early", "left"), [(4_300_000, 5), (200_000, 1), (1, 1)])
def test_a_tick_that_comes_early_wakes_nobody(early: int, left: int) -> None:
    with InProcess(plugin(lambda stream: sleep(0.2), own=200)) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        vm.host.now += 200 * 10**6 - early
        vm.call("proxy_on_tick", vm.root.context_id)
        assert vm.host.lines() == [] and period(vm) == left
        vm.tick()
        assert vm.host.lines() == ["got None", "own tick"] and period(vm) == 200
        exchange.close()


def test_a_tick_that_comes_late_wakes_nobody_early() -> None:
    with InProcess(plugin(lambda stream: sleep(0.1))) as vm:
        vm.start()
        first, second = vm.exchange(), vm.exchange()
        first.request()
        vm.host.now += 150 * 10**6  # the worker was busy: its tick is due
        second.request()
        vm.tick()
        assert first.upstream.header("x-waited") and not second.upstream.header("x-waited") and period(vm) == 100
        vm.tick()
        assert second.upstream.header("x-waited") and period(vm) == 0
        first.close()
        second.close()


def test_parts_of_a_millisecond_count() -> None:
    with InProcess(plugin(lambda stream: sleep(0.0101))) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert period(vm) == 11
        vm.host.now += 10 * 10**6
        other = vm.exchange()
        other.request()
        vm.tick()
        assert period(vm) == 10
        exchange.close()
        other.close()


def test_the_filter_keeps_its_own_tick() -> None:
    with InProcess(plugin(lambda stream: sleep(0.25), own=100)) as vm:
        vm.start()
        assert period(vm) == 100
        exchange = vm.exchange()
        exchange.request()
        told = []
        for _ in range(4):
            told.append((period(vm), len(vm.host.lines())))
            vm.tick()
        assert told == [(100, 0), (100, 1), (50, 2), (50, 3)]
        assert vm.host.lines() == ["own tick", "own tick", "got None", "own tick"] and period(vm) == 100
        exchange.close()


def test_an_answer_in_time() -> None:
    async def wait(stream: HttpContext) -> object:
        return (await wait_for(stream.fetch("authz"), 0.5)).status

    with InProcess(plugin(wait)) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert period(vm) == 500
        vm.http_call_response(next(iter(vm.host.http_calls)), OK)
        assert vm.host.lines() == ["got 200"] and exchange.upstream.headers is not None
        vm.tick()
        assert period(vm) == 0
        exchange.close()


def test_an_answer_that_comes_too_late() -> None:
    async def wait(stream: HttpContext) -> object:
        try:
            return await wait_for(gather(stream.fetch("authz"), stream.fetch("other")), 0.5)
        except TimeoutError as error:
            return error

    with InProcess(plugin(wait)) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        first, second = vm.host.http_calls
        vm.http_call_response(first, OK)
        vm.tick()
        assert vm.host.lines() == ["got nothing came within 500 ms"] and exchange.upstream.headers is not None
        vm.http_call_response(second, OK)
        assert not vm.host.lines(4)
        exchange.close()


def test_a_deadline_that_nobody_catches_is_the_failure_policys() -> None:
    with InProcess(plugin(lambda stream: wait_for(sleep(5), 0.1))) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert period(vm) == 100
        vm.tick()
        assert exchange.downstream.status == 500
        assert vm.host.lines(4)[-1].endswith("TimeoutError: nothing came within 100 ms")
        exchange.close()


def test_what_needs_no_time_starts_no_clock() -> None:
    async def at_once() -> int:
        return 7

    with InProcess(plugin(lambda stream: wait_for(at_once(), 1))) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert vm.host.lines() == ["got 7"] and period(vm) == 0
        exchange.close()


def test_a_request_that_is_over_sleeps_no_more() -> None:
    with InProcess(plugin(lambda stream: gather(sleep(0.1), sleep(0.2)))) as vm:
        vm.start()
        exchange = vm.exchange()
        exchange.request()
        exchange.close()
        vm.tick()
        assert vm.host.logs == [] and period(vm) == 0


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_no_time_is_refused(seconds: float) -> None:
    for wait in (sleep(seconds), wait_for(sleep(1), seconds)):
        with pytest.raises(ValueError, match="more than 0 seconds"):
            wait.send(None)


@pytest.mark.parametrize(("own", "kind"), [(-1, OverflowError), ("100", TypeError), (0.5, TypeError)])
def test_what_is_no_period_is_refused_as_without_timers(own: Any, kind: type[Exception]) -> None:
    async def wait(stream: Any) -> None:
        with pytest.raises(kind, match="proxy_set_tick_period_milliseconds: milliseconds"):
            set_tick_period(own)

    with InProcess(plugin(wait)) as vm:
        assert vm.start()
        vm.connection().new_connection()
        assert vm.host.lines() == ["got None"]
