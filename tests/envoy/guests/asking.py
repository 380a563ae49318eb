"""A filter that logs what properties hold, when a connection comes, with its first bytes, and when it is over.

The plugin's configuration names them, one a line, as `source.address`.
"""

from __future__ import annotations

import proxy_wasm


class Connection(proxy_wasm.StreamContext):
    """A connection that logs its properties."""

    root: Plugin

    def _log(self, when: str) -> None:
        for path in self.root.paths:
            value = proxy_wasm.get_property(proxy_wasm.property_path(*path.split(".")))
            proxy_wasm.info(f"{when} {path} = {value!r}")

    def on_new_connection(self) -> None:
        """Logs before tcp_proxy knows of the connection."""
        self._log("new")

    def on_downstream_data(self, size: int, end_of_stream: bool) -> None:
        """Logs when bytes came."""
        self._log("data")

    def on_log(self) -> None:
        """Logs when the connection is over."""
        self._log("log")


class Plugin(proxy_wasm.RootContext):
    """Knows which properties to log."""

    stream_context = Connection

    def on_configure(self, configuration: bytes) -> bool:
        """Takes their names."""
        self.paths = configuration.decode().split()
        return True


proxy_wasm.register(Plugin)
