"""Logs the VM's configuration and the plugin's."""

import json

import proxy_wasm


class Plugin(proxy_wasm.RootContext):
    def on_vm_start(self, configuration: bytes) -> bool:
        print("VM configuration:", json.loads(configuration)["name"])
        return True

    def on_configure(self, configuration: bytes) -> bool:
        print("plugin configuration:", json.loads(configuration)["name"])
        return True


proxy_wasm.register(Plugin)
