from proxy_wasm.testing.lifecycle import Vm


def test_each_tick_makes_a_call_whose_answer_is_logged(vm: Vm) -> None:
    vm.tick()
    [(call, made)] = vm.host.http_calls.items()
    assert made.cluster == b"web_service"
    vm.http_call_response(call, [(b":status", b"503"), (b"server", b"envoy")])
    assert vm.host.lines() == ["answer 1: status 503", ":status: 503", "server: envoy"]
