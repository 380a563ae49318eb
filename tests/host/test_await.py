"""Coroutines in a built module: what they leave in its memory, and that a filter without any has nothing of what drives them."""

from __future__ import annotations

from pathlib import Path

from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

AWAITING = """
import proxy_wasm

class Stream(proxy_wasm.StreamContext):
    async def on_new_connection(self):
        await proxy_wasm.gather(*[self.fetch("authz") for _ in range(50)])

class Root(proxy_wasm.RootContext):
    stream_context = Stream

proxy_wasm.register(Root)
"""
ADVICE = "the filter was built without it; import it at the top of one of its modules"
LOOKING = """
import proxy_wasm

class Root(proxy_wasm.RootContext):
    def on_foreign_function(self, function_id, argument):
        __import__(argument.decode())

proxy_wasm.register(Root)
"""


def test_calls_that_are_never_answered_leave_the_memory_as_it_is(tmp_path: Path) -> None:
    vm = WasmModule(build(tmp_path, {"plugin.py": AWAITING}))
    assert vm.start()

    def live(lives: int) -> None:
        for _ in range(lives):
            connection = vm.connection(early_data=True)
            assert connection.new_connection() == 1
            connection.close()
            vm.host.http_calls.clear()

    live(100)
    size = len(vm.memory)
    live(2000)
    assert len(vm.memory) == size
    assert vm.host.logs == []


def test_a_filter_that_does_not_need_it_has_nothing_of_it(tmp_path: Path) -> None:
    vm = WasmModule(build(tmp_path, {"plugin.py": LOOKING}))
    assert vm.start()
    vm.foreign_function(1, b"proxy_wasm._register")
    assert vm.host.logs == []
    for name in ("_await", "_await_http", "_fetch", "_tasks", "_grpc_unary", "_mistakes", "timers"):
        vm.foreign_function(1, f"proxy_wasm.{name}".encode())
        assert vm.host.lines(4)[-1].endswith(f"{ADVICE}: No module named 'proxy_wasm.{name}'")


CALLING = """
import proxy_wasm
from proxy_wasm import grpc
from proxy_wasm.timers import sleep, wait_for

class Stream(proxy_wasm.StreamContext):
    async def on_new_connection(self):
        print((await grpc.unary("authz", "Authz", "Check")).body)
        try:
            await wait_for(sleep(1), 0.25)
        except TimeoutError as error:
            print(error)

class Root(proxy_wasm.RootContext):
    stream_context = Stream

proxy_wasm.register(Root)
"""


def test_a_grpc_call_and_a_time_are_awaited_in_a_module(tmp_path: Path) -> None:
    vm = WasmModule(build(tmp_path, {"plugin.py": CALLING}))
    assert vm.start()
    connection = vm.connection()
    assert connection.new_connection() == 1
    (call,) = vm.host.grpc_calls
    vm.grpc_receive(call, b"yes")
    waiting = connection.goes_on, vm.host.tick_periods[vm.root.context_id]
    vm.tick()
    over = connection.goes_on, vm.host.tick_periods[vm.root.context_id]
    assert (waiting, over) == ((False, 250), (True, 0))
    assert vm.host.lines() == ["b'yes'", "nothing came within 250 ms"]
