"""The routing filter with two counters more: stream contexts made and deleted. So each connection has one, also under the default rule."""

from __future__ import annotations

import proxy_wasm
from filter.plugin import Plugin, PolicyConnection, Routes
from proxy_wasm import Action, MetricKind


class CountedConnection(proxy_wasm.StreamContext):
    """A connection under the default rule, counted."""

    root: Counted

    def __init__(self, context_id: int, root: Counted) -> None:
        super().__init__(context_id, root)
        proxy_wasm.increment_metric(root.created, 1)

    def on_new_connection(self) -> Action | None:
        """Asks the filter's router."""
        return self.root.routes.connect()

    def on_delete(self) -> None:
        """Counts the end."""
        proxy_wasm.increment_metric(self.root.deleted, 1)


class CountedPolicyConnection(PolicyConnection, CountedConnection):
    """A connection under configured rules, counted."""

    root: Counted


class Counted(Plugin):
    """The plugin, counted."""

    routes: Routes

    def on_configure(self, configuration: bytes) -> bool:
        """Configures the plugin as always."""
        self.created, self.deleted = (
            proxy_wasm.define_metric(MetricKind.COUNTER, f"contexts.{name}") for name in ("created", "deleted")
        )
        accepted = super().on_configure(configuration)
        if isinstance(self.stream_context, Routes):
            self.routes = self.stream_context
            self.stream_context = CountedConnection
        else:
            self.stream_context = CountedPolicyConnection
        return accepted


proxy_wasm.register(Counted, "counted")
