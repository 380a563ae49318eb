import random

from examples.http_routing.plugin import Plugin
from proxy_wasm.testing.inprocess import InProcess


def test_about_half_of_the_requests_go_to_the_canary() -> None:
    random.seed(1)
    with InProcess(Plugin) as vm:
        assert vm.start()
        found = []
        for _ in range(100):
            exchange = vm.exchange()
            exchange.request({":authority": "shop"})
            found.append(exchange.upstream.header(":authority"))
        assert set(found) == {b"shop", b"shop-canary"}
        assert 30 < found.count(b"shop") < 70
