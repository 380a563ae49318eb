"""HTTP in a built module: the boundary makes a context in its first callback, and the module has what `register` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy_wasm.testing.wasm import WasmModule
from tests.host.toolchain_case import build

GUEST = """
import proxy_wasm
from proxy_wasm import Action, FailurePolicy, HttpContext, StreamContext

class Request(HttpContext):
    def on_request_headers(self, header_count, end_of_stream):
        proxy_wasm.info(f"headers {header_count} {end_of_stream}")
        kind = self.request_headers.get("x-kind")
        if kind == b"raise":
            raise RuntimeError("on purpose")
        if kind == b"answer":
            return self.send_response(403, {"x-why": "no"}, "no", grpc_status=-2)
        if kind == b"true":
            return True
        self.request_headers.add("x-new", b"\\xff")

    def on_response_complete(self, body):
        self.response_body.replace(body.upper())

    def on_log(self):
        proxy_wasm.info("log")

class Connection(StreamContext):
    def on_new_connection(self):
        proxy_wasm.info("connection")

class Root(proxy_wasm.RootContext):
    http_context = Request
    stream_context = Connection
    failure_policy = FailurePolicy.CLOSE

proxy_wasm.register(Root)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(tmp_path_factory.mktemp("guest"), {"plugin.py": GUEST})


@pytest.fixture
def vm(module: bytes, tmp_path_factory: pytest.TempPathFactory) -> WasmModule:
    vm = WasmModule(module, cache=Path(tmp_path_factory.getbasetemp()))
    assert vm.start()
    return vm


def test_a_request_and_its_response(vm: WasmModule) -> None:
    exchange = vm.exchange()
    exchange.request(body=["a", "b"])
    assert exchange.upstream.header("x-new") == b"\xff" and exchange.upstream.body == b"ab"
    exchange.respond(200, {"content-length": "4"}, ["ab", "cd"], {"x": "y"})
    assert exchange.downstream.body == b"ABCD" and exchange.downstream.header("content-length") is None
    exchange.close()
    assert vm.host.lines() == ["headers 4 False", "log"]


@pytest.mark.parametrize(("kind", "status"), [("raise", 500), ("answer", 403), ("true", 500)])
def test_a_request_that_does_not_go_on(vm: WasmModule, kind: str, status: int) -> None:
    exchange = vm.exchange()
    exchange.request({"x-kind": kind})
    assert (exchange.upstream.headers, exchange.downstream.status) == (None, status)
    exchange.close()
    assert vm.host.lines()[-1] == "log"


def test_what_is_no_request_is_logged(vm: WasmModule) -> None:
    vm.exchange().close()
    assert vm.host.lines() == ["log"]


def test_many_wait_for_their_first_callback(vm: WasmModule) -> None:
    """More than the boundary has places for: those are made at once, and their first callback still says what they are."""
    exchanges = [vm.exchange() for _ in range(1500)]
    connections = [vm.connection() for _ in range(1500)]
    for exchange in exchanges:
        exchange.request()
    for connection in connections:
        connection.new_connection()
    for exchange in exchanges:
        exchange.close()
    for connection in connections:
        connection.close()
    assert vm.host.lines().count("headers 4 True") == vm.host.lines().count("log") == 1500
    assert vm.host.lines().count("connection") == 1500
    assert not vm.host.lines(4)
