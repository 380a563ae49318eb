import pytest

from proxy_wasm.testing.lifecycle import Vm


@pytest.mark.parametrize("trailers", [None, {"x-checksum": "1"}])
def test_a_secret_does_not_get_out(vm: Vm, trailers: dict[str, str] | None) -> None:
    exchange = vm.exchange()
    exchange.request()
    exchange.respond(200, {"content-length": "12"}, ["a sec", "ret key"], trailers)
    assert exchange.downstream.body == b"Original message body (12 bytes) redacted.\n"
    assert exchange.downstream.header("content-length") is None
