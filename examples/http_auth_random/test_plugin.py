from proxy_wasm.testing.lifecycle import Vm


def test_an_even_byte_lets_a_request_go_on(vm: Vm) -> None:
    for body, status in ((b"\x02", 200), (b"\x03", 403)):
        exchange = vm.exchange()
        exchange.request({"x-user": "alice"})
        call, made = list(vm.host.http_calls.items())[-1]
        assert (b"x-user", b"alice") in made.headers
        vm.http_call_response(call, [(b":status", b"200")], body)
        if exchange.local_response is None:
            exchange.respond(200)
        assert exchange.downstream.status == status


def test_nobody_gets_in_if_the_service_does_not_answer(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request()
    vm.http_call_failure(next(iter(vm.host.http_calls)), 504)
    assert exchange.downstream.status == 403
