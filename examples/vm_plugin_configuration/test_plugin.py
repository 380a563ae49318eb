from examples.vm_plugin_configuration.plugin import Plugin
from proxy_wasm.testing.inprocess import InProcess


def test_both_are_logged() -> None:
    with InProcess(Plugin) as vm:
        assert vm.start(b'{"name": "one VM"}', b'{"name": "its plugin"}')
        assert vm.host.lines() == ["VM configuration: one VM", "plugin configuration: its plugin"]
