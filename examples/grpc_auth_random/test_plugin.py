from proxy_wasm.testing.lifecycle import Vm

ABORTED = 10


def test_an_even_status_lets_a_call_go_on(vm: Vm) -> None:
    for status, goes_on in ((2, True), (5, False)):
        exchange = vm.exchange()
        exchange.request({":path": "/hello.Hello/Say", "content-type": "application/grpc"})
        vm.grpc_close(list(vm.host.grpc_calls)[-1], status)
        assert (exchange.upstream.headers is not None) == goes_on
    assert exchange.downstream.header("grpc-status") == b"%d" % ABORTED
    assert exchange.downstream.header("grpc-message") == b"Aborted by Proxy-Wasm!"


def test_only_grpc_gets_in_and_reflection_always(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request({"content-type": "text/html"})
    assert exchange.downstream.status == 503
    exchange = vm.exchange()
    exchange.request({":path": "/grpc.reflection.v1.ServerReflection", "content-type": "application/grpc"})
    assert exchange.upstream.headers is not None and not vm.host.grpc_calls
