from proxy_wasm.testing.lifecycle import Vm


def test_a_chunk_with_the_pattern_is_refused(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request(body=["nothing here", "here is the pattern", "too late"])
    assert exchange.downstream.status == 403
    assert exchange.downstream.body == b"pattern found in chunk: 2"


def test_a_body_without_it_goes_on_whole(vm: Vm) -> None:
    exchange = vm.exchange()
    exchange.request(body=["nothing ", "here"])
    assert exchange.upstream.body == b"nothing here"
