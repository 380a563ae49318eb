"""The routing filter, as it is, with two counters more: stream contexts made and deleted."""

from __future__ import annotations

import proxy_wasm
from filter.plugin import Connection, Plugin, PolicyConnection
from proxy_wasm import MetricKind


class CountedConnection(Connection):
    """A connection under the default rule, counted."""

    root: Counted

    def __init__(self, context_id: int, root: Counted) -> None:
        super().__init__(context_id, root)
        proxy_wasm.increment_metric(root.created, 1)

    def on_delete(self) -> None:
        """Counts the end."""
        proxy_wasm.increment_metric(self.root.deleted, 1)


class CountedPolicyConnection(CountedConnection, PolicyConnection):
    """A connection under configured rules, counted."""


class Counted(Plugin):
    """The plugin, counted."""

    stream_context = CountedConnection

    def on_configure(self, configuration: bytes) -> bool:
        """Configures the plugin as always."""
        self.created, self.deleted = (
            proxy_wasm.define_metric(MetricKind.COUNTER, f"contexts.{name}") for name in ("created", "deleted")
        )
        accepted = super().on_configure(configuration)
        has_rules = issubclass(self.stream_context, PolicyConnection)
        self.stream_context = CountedPolicyConnection if has_rules else CountedConnection
        return accepted


proxy_wasm.register(Counted, "counted")
