import random

from proxy_wasm.testing.lifecycle import Vm


def test_about_half_of_the_requests_go_to_the_canary(vm: Vm) -> None:
    random.seed(1)
    found = []
    for _ in range(100):
        exchange = vm.exchange()
        exchange.request({":authority": "shop"})
        found.append(exchange.upstream.header(":authority"))
    assert set(found) == {b"shop", b"shop-canary"}
    assert 30 < found.count(b"shop") < 70
