import json

from plugin import variant_of
from proxy_wasm.testing.lifecycle import Vm


def test_a_tick_reports_all_requests_so_far(vm: Vm) -> None:
    assert vm.configure(b'{"percent": 0}')
    for status in (200, 503, 200):
        exchange = vm.exchange()
        exchange.request({"x-user": "ann"})
        assert exchange.upstream.header("x-variant") == b"a"
        exchange.respond(status)
        vm.tick()
    vm.tick()
    reports = [json.loads(line) for line in vm.host.lines()]
    counts = [report["a"]["requests"] for report in reports]
    assert counts == sorted(counts)
    assert reports[-1] == {"a": {"requests": 3, "errors": 1}, "b": {"requests": 0, "errors": 0}}


def test_the_split_is_stable_and_about_right() -> None:
    variants = [variant_of(b"user %d" % number, 20) for number in range(1000)]
    assert variants == [variant_of(b"user %d" % number, 20) for number in range(1000)]
    assert 150 < variants.count("b") < 250
