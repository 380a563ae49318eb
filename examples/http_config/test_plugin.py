from examples.http_config.plugin import Plugin
from proxy_wasm.testing.inprocess import InProcess


def test_the_configuration_is_a_response_header() -> None:
    with InProcess(Plugin) as vm:
        assert vm.start(configuration=b"from the configuration")
        exchange = vm.exchange()
        exchange.request()
        exchange.respond(200)
        assert exchange.downstream.header("custom-header") == b"from the configuration"
