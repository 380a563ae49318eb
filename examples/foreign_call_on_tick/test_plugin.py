import zlib

from examples.foreign_call_on_tick.plugin import Plugin
from proxy_wasm.testing.inprocess import InProcess


def test_each_tick_calls_the_function() -> None:
    with InProcess(Plugin) as vm:
        vm.host.foreign_functions[b"compress"] = zlib.compress
        assert vm.start()
        vm.tick()
        vm.tick()
        result = zlib.compress(b"hello world!").hex()
        assert vm.host.lines()[-1] == f"foreign function (compress) called: 2, result: {result}"
