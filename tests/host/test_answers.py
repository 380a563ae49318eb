"""HTTP answers in a built module: they reach who asked, and a hundred thousand that nobody waits for leave nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy_wasm.testing.connection import Connection
from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

GUEST = """
import proxy_wasm
from proxy_wasm import Action, FailurePolicy, _dispatch, _http

HEADERS = {":method": "GET", ":path": "/", ":authority": "a"}

class Stream(proxy_wasm.StreamContext):
    def on_new_connection(self):
        for _ in range(self.root.calls):
            proxy_wasm.http_call("authz", HEADERS)
        return Action.PAUSE

    def on_http_call_response(self, call, header_count, body_size, trailer_count):
        answer = proxy_wasm.get_http_answer()
        proxy_wasm.info(f"{self.context_id} {answer.status} {answer.failed} {answer.body} {answer.trailers}")
        if answer.status == 500:
            raise RuntimeError("on purpose")
        proxy_wasm.continue_downstream()

class Ending(proxy_wasm.StreamContext):
    def on_delete(self):
        self.root.ended += 1
        if self.context_id % 2:
            raise RuntimeError("on purpose")

class Root(proxy_wasm.RootContext):
    stream_context = Stream
    ended = 0
    failure_policy = FailurePolicy.CLOSE
    calls = 1

    def on_configure(self, configuration):
        self.calls = int(configuration)

    def on_tick(self):
        proxy_wasm.info(f"kept: {len(_dispatch.streams)} {len(_http.callers)} {len(_http.open_calls)}")

class Endings(Root):
    stream_context = Ending

    def on_tick(self):
        proxy_wasm.info(f"ended: {self.ended}")
        super().on_tick()

proxy_wasm.register(Root)
proxy_wasm.register(Endings, "endings")
"""
OK = [(b":status", b"200")]


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(tmp_path_factory.mktemp("asking"), {"plugin.py": GUEST})


def start(module: bytes, cache: Path, calls: int) -> WasmModule:
    vm = WasmModule(module, cache=cache)
    assert vm.start(configuration=b"%d" % calls)
    return vm


def connect(vm: WasmModule) -> Connection:
    connection = vm.connection(early_data=True)
    assert connection.new_connection() == 1
    return connection


def test_an_answer_reaches_who_asked(module: bytes, cache: Path) -> None:
    vm = start(module, cache, 1)
    first, second, third, fourth = (connect(vm) for _ in range(4))
    calls = list(vm.host.http_calls)
    vm.http_call_response(calls[2])
    vm.http_call_response(calls[1], OK, b"body", [(b"t", b"1")])
    vm.http_call_failure(calls[0], 504)
    vm.http_call_response(calls[3], [(b":status", b"500")])
    assert vm.host.lines(2) == [
        "4 0 True b'' []",
        "3 200 False b'body' [(b't', b'1')]",
        "2 504 True b'upstream request timeout' []",
        "5 500 False b'' []",
    ]
    assert vm.host.lines(4)[-1] == "proxy_on_http_call_response (context 5): RuntimeError: on purpose"
    for connection in (first, second, third):
        assert (connection.context.continued, connection.context.closed) == ([2], [])
    assert (fourth.context.continued, fourth.context.closed) == ([], [2])
    assert (vm.root.continued, vm.root.closed) == ([], [])


@pytest.mark.parametrize(("total", "answered"), [(100_000, True), (20_000, False)])
def test_what_nobody_waits_for_leaves_nothing(
    module: bytes, cache: Path, total: int, answered: bool, record_property: Callable[[str, object], None]
) -> None:
    vm, made, pages = start(module, cache, 20), 0, 0
    while made < total:
        connect(vm).close()
        made += len(vm.host.http_calls)
        for call in list(vm.host.http_calls) if answered else ():
            vm.http_call_response(call, OK, b"body")
        # The host's own records would be what grows.
        vm.host.http_calls.clear()
        if made <= total // 10:
            pages = vm.memory_pages
    vm.tick()
    assert vm.host.lines() == ["kept: 0 0 0"]
    assert vm.memory_pages == pages
    record_property("calls", f"{made:,}")
    record_property("memory grew by", f"{vm.memory_pages - pages} pages")


def test_a_stream_that_hears_of_its_end_leaves_nothing(module: bytes, cache: Path) -> None:
    vm = WasmModule(module, cache=cache)
    assert vm.start(configuration=b"0", root_id=b"endings")
    for _ in range(10):
        connection = vm.connection()
        assert connection.new_connection() == 0
        connection.close()
    vm.tick()
    assert vm.host.lines(2) == ["ended: 10", "kept: 0 0 0"]
