from examples.http_headers.plugin import Plugin
from proxy_wasm.testing.inprocess import InProcess

CONFIGURATION = b'{"header": "x-wasm-header", "value": "demo-wasm"}'


def test_headers_are_changed_both_ways() -> None:
    with InProcess(Plugin) as vm:
        assert vm.start(configuration=CONFIGURATION)
        exchange = vm.exchange()
        exchange.request({"test": "worst"})
        assert exchange.upstream.header("test") == b"best"
        exchange.respond(200)
        assert exchange.downstream.header("x-wasm-header") == b"demo-wasm"
        exchange.close()
        assert vm.host.lines()[-1] == f"#{exchange.context_id} completed."


def test_hello_is_answered_by_the_filter() -> None:
    with InProcess(Plugin) as vm:
        assert vm.start(configuration=CONFIGURATION)
        exchange = vm.exchange()
        exchange.request({":path": "/hello"})
        assert exchange.upstream.headers is None
        assert exchange.downstream.body == b"Hello, World!\n"


def test_a_configuration_that_is_no_json_is_refused() -> None:
    with InProcess(Plugin) as vm:
        assert not vm.start(configuration=b"demo-wasm")
