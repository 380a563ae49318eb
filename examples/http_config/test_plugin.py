from proxy_wasm.testing.lifecycle import Vm


def test_the_configuration_is_a_response_header(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request()
    exchange.respond(200)
    assert exchange.downstream.header("custom-header") == b"from the configuration"
