"""Metrics as objects: their names in the proxy, their tags, and what becomes of them if there are too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from proxy_wasm import RootContext
from proxy_wasm.metrics import Counter, Gauge, Histogram
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.records import HostStatus

REQUESTS = Counter("requests", "method", "status")
OPEN = Gauge("open")
SIZES = Histogram("sizes", "side")


@pytest.fixture
def ticking() -> Iterator[Callable[[Callable[[], object]], Host]]:
    """Does something in a callback, and returns the proxy."""

    def tick(do: Callable[[], object]) -> Host:
        vm = InProcess(type("Root", (RootContext,), {"on_tick": lambda self: do() and None}))
        vms.append(vm.__enter__())
        assert vm.start()
        vm.tick()
        return vm.host

    vms: list[InProcess] = []
    yield tick
    for vm in reversed(vms):
        vm.__exit__(None, None, None)


def test_each_kind_is_told_the_proxy(ticking: Callable[[Callable[[], object]], Host]) -> None:
    values: list[int] = []

    def do() -> None:
        REQUESTS.increment(method="GET", status=200)
        REQUESTS.increment(2, status=200, method="GET")
        REQUESTS.increment(0, method="PUT", status=200)
        REQUESTS.increment(method=b"a;b:c", status="é")
        OPEN.set(5)
        OPEN.add(-2)
        SIZES.record(1, side="request")
        SIZES.record(2, side="request")
        values.extend([REQUESTS.value(method="GET", status=200), OPEN.value()])

    # Each VM has its own numbers.
    for _ in range(2):
        host = ticking(do)
        assert not host.lines(4), host.lines(4)
        found = {metric.name: metric.records or metric.value for metric in host.metrics.values()}
        assert found == {
            b"requests;method=GET;status=200": 3,
            "requests;method=a_b_c;status=é".encode(): 1,
            b"open": 3,
            b"sizes;side=request": [1, 2],
        }
    assert values == [3, 3, 3, 3]


def test_clients_cannot_make_metrics_without_end(ticking: Callable[[Callable[[], object]], Host]) -> None:
    few = Counter("few", "path", limit=2)

    def do() -> None:
        for path in "abcdeaf":
            few.increment(path=path)

    host = ticking(do)
    assert {metric.name[9:]: metric.value for metric in host.metrics.values()} == {b"a": 2, b"b": 1, b"other": 4}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: REQUESTS.increment(method="GET"), "metric requests: the tag status is missing"),
        (lambda: REQUESTS.increment(), "metric requests has the tags method, status: give each by its name"),
        (lambda: REQUESTS.increment(method="GET", status=1, x=2), "metric requests has the tags method, status"),
        (lambda: OPEN.set(1, x=2), "metric open has the tags none"),
        (lambda: REQUESTS.increment(-1, method="GET", status=1), "metric requests: a counter cannot go down by 1"),
    ],
)
def test_what_is_wrong_is_said(wrong: Callable[[], None], message: str) -> None:
    with InProcess(), pytest.raises((TypeError, ValueError), match=message):
        wrong()


@pytest.mark.parametrize("call", ["proxy_define_metric", "proxy_increment_metric"])
def test_a_proxy_that_allows_no_metrics_gets_none(
    ticking: Callable[[Callable[[], object]], Host], monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*_: object) -> int:
        raise HostStatus("INTERNAL_FAILURE")

    def do() -> None:
        REQUESTS.increment(method="GET", status=200)
        REQUESTS.increment(method="GET", status=200)
        assert REQUESTS.value(method="GET", status=200) == 0

    monkeypatch.setattr(Host, call, refuse)
    assert not ticking(do).lines(4)
