import pytest

from examples.http_body.plugin import Plugin
from proxy_wasm.testing.inprocess import InProcess


@pytest.mark.parametrize("trailers", [None, {"x-checksum": "1"}])
def test_a_secret_does_not_get_out(trailers: dict[str, str] | None) -> None:
    with InProcess(Plugin) as vm:
        assert vm.start()
        exchange = vm.exchange()
        exchange.request()
        exchange.respond(200, {"content-length": "12"}, ["a sec", "ret key"], trailers)
        assert exchange.downstream.body == b"Original message body (12 bytes) redacted.\n"
        assert exchange.downstream.header("content-length") is None
