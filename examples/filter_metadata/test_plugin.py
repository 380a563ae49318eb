from examples.filter_metadata.plugin import METADATA, Plugin
from proxy_wasm.testing.inprocess import InProcess


def test_metadata_is_answered_with() -> None:
    with InProcess(Plugin) as vm:
        assert vm.start()
        exchange = vm.exchange({METADATA: b"HELLO"})
        exchange.request()
        assert exchange.downstream.body == b"Custom response with Envoy metadata: HELLO\n"


def test_without_metadata_a_request_goes_on() -> None:
    with InProcess(Plugin) as vm:
        assert vm.start()
        exchange = vm.exchange()
        exchange.request()
        assert exchange.upstream.headers is not None
