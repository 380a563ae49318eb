from proxy_wasm.testing.lifecycle import Vm


def test_headers_are_changed_both_ways(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request({"test": "worst"})
    assert exchange.upstream.header("test") == b"best"
    exchange.respond(200)
    assert exchange.downstream.header("x-wasm-header") == b"demo-wasm"
    exchange.close()
    assert vm.host.lines()[-1] == f"#{exchange.context_id} completed."


def test_hello_is_answered_by_the_filter(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request({":path": "/hello"})
    assert exchange.upstream.headers is None
    assert exchange.downstream.body == b"Hello, World!\n"


def test_a_configuration_that_is_no_json_is_refused(vm: Vm) -> None:
    assert not vm.configure(b"demo-wasm")
