"""Greets each connection in Envoy's log, and turns away the sources that the configuration blocks."""

import json

import proxy_wasm

SOURCE = proxy_wasm.property_path("source", "address")


class Connection(proxy_wasm.StreamContext):
    """One connection."""

    root: "Plugin"

    def on_new_connection(self) -> proxy_wasm.Action:
        """Called when a client has connected, before any byte is read."""
        source = (proxy_wasm.get_property(SOURCE) or b"").decode()
        address, _, _ = source.rpartition(":")
        if address in self.root.blocked:
            print("turned away:", source)
            proxy_wasm.close_downstream()
            return proxy_wasm.Action.PAUSE
        print("hello,", source)
        return proxy_wasm.Action.CONTINUE


class Plugin(proxy_wasm.RootContext):
    """The plugin: one object for each VM."""

    stream_context = Connection

    def on_configure(self, configuration: bytes) -> bool:
        """Called with the plugin's configuration."""
        self.blocked = set(json.loads(configuration or b"{}").get("blocked", []))
        return True


proxy_wasm.register(Plugin)
