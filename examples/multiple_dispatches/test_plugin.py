from proxy_wasm.testing.lifecycle import Vm


def test_the_last_answer_lets_the_response_go_on(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request()
    exchange.respond(200)
    calls = list(vm.host.http_calls)
    assert len(calls) == 10
    for call in calls:
        assert exchange.downstream.headers is None
        vm.http_call_response(call, [(b":status", b"200")])
    assert exchange.downstream.header("total-dispatched") == b"10"
