from examples.hello_world.plugin import HelloWorld
from proxy_wasm.testing.inprocess import InProcess


def test_greets_and_then_tells_the_time() -> None:
    with InProcess(HelloWorld) as vm:
        assert vm.start()
        assert vm.host.lines() == ["Hello, World!"]
        assert vm.host.tick_periods[vm.root.context_id] == 5000
        vm.tick()
        assert "your lucky number is" in vm.host.lines()[-1]
