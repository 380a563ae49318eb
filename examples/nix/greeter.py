"""Greets each connection in Envoy's log."""

import proxy_wasm


class Connection(proxy_wasm.StreamContext):
    def on_new_connection(self) -> None:
        print("hello from a filter that Nix built")


class Plugin(proxy_wasm.RootContext):
    stream_context = Connection


proxy_wasm.register(Plugin)
