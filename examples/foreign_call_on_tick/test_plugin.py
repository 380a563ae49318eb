import zlib

from proxy_wasm.testing.lifecycle import Vm


def test_each_tick_calls_the_function(vm: Vm) -> None:
    vm.tick()
    vm.tick()
    result = zlib.compress(b"hello world!").hex()
    assert vm.host.lines()[-1] == f"foreign function (compress) called: 2, result: {result}"
