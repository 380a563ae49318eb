from proxy_wasm.testing.lifecycle import Vm


def test_both_are_logged(vm: Vm) -> None:
    assert vm.start_lines == ["VM configuration: the VM's", "plugin configuration: the plugin's"]
