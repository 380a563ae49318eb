from proxy_wasm.testing.lifecycle import Vm


def test_greets_and_then_tells_the_time(vm: Vm) -> None:
    assert vm.start_lines == ["Hello, World!"]
    assert vm.host.tick_periods[vm.root.context_id] == 5000
    vm.tick()
    assert "your lucky number is" in vm.host.lines()[-1]
