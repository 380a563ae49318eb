from proxy_wasm.testing.lifecycle import Vm

MAX_COUNTERS = 100


def test_each_value_has_a_counter(vm: Vm) -> None:
    for value in ("foo", "foo", "bar"):
        vm.exchange().request({"my-custom-header": value})
    counts = {metric.name: metric.value for metric in vm.host.metrics.values()}
    assert counts[b"custom_header_value_counts;value=foo;reporter=python"] == 2
    assert counts[b"custom_header_value_counts;value=bar;reporter=python"] == 1


def test_clients_cannot_make_metrics_without_end(vm: Vm) -> None:
    for number in range(2 * MAX_COUNTERS):
        value = "x" + "".join(chr(ord("a") + int(digit)) for digit in str(number))
        vm.exchange().request({"my-custom-header": value})
    assert len(vm.host.metrics) == MAX_COUNTERS + 1
