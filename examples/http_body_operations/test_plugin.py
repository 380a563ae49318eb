import pytest

from plugin import Echo
from proxy_wasm.testing.inprocess import InProcess
from proxy_wasm.testing.lifecycle import Vm


@pytest.mark.parametrize("side", ["request", "response"])
@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("append", b"[original body][this is appended body]"),
        ("prepend", b"[this is prepended body][original body]"),
        ("replace", b"[this is replaced body]"),
    ],
)
def test_a_body_is_edited(vm: Vm, side: str, operation: str, body: bytes) -> None:
    exchange = vm.exchange()
    exchange.request({"buffer-replace-at": side, "buffer-operation": operation}, "[original body]")
    exchange.respond(200, body=exchange.upstream.body)
    assert exchange.downstream.body == body


def test_the_other_plugin_sends_the_body_back() -> None:
    with InProcess(Echo) as vm:
        assert vm.start()
        exchange = vm.exchange()
        exchange.request(body=["to ", "and fro"])
        assert exchange.downstream.body == b"to and fro"
