"""A filter that chooses the cluster by the protocol, which it tells by the client's first bytes.

A new connection is paused until there are enough of them. Some servers speak first, so that no byte ever comes: the root context's tick
then lets the connection go on, to the cluster of `tcp_proxy`. The plugin's configuration is how many seconds a connection waits. All this
needs `max_early_data_bytes` of `tcp_proxy`.
"""

from __future__ import annotations

import time

import proxy_wasm
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm import Action, Buffer

TICK_MILLISECONDS = 100
LONGEST = 8
"""So many bytes tell any protocol."""

METHODS = (b"GET ", b"PUT ", b"HEAD ", b"POST ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"CONNECT ")
PREFIXES = {b"\x16\x03": "tls", b"SSH-": "ssh"} | dict.fromkeys(METHODS, "http")
MESSAGES = {
    cluster: SetEnvoyFilterStateArguments(
        path="envoy.tcp_proxy.cluster", value=cluster, span=LifeSpan.FilterChain
    ).SerializeToString()
    for cluster in set(PREFIXES.values())
}


def cluster_for(data: bytes) -> str | None:
    """Returns the cluster by a connection's first bytes, "" for tcp_proxy's own, None if there are too few bytes to tell."""
    for prefix, cluster in PREFIXES.items():
        if data.startswith(prefix):
            return cluster
    undecided = any(prefix.startswith(data) for prefix in PREFIXES)
    return None if undecided else ""


class Connection(proxy_wasm.StreamContext):
    """A connection, paused until its cluster is known."""

    root: Plugin

    def on_new_connection(self) -> Action:
        """Waits for bytes; returning nothing would let tcp_proxy choose its cluster now."""
        self.root.waiting[self.context_id] = time.monotonic()
        return Action.PAUSE

    def on_downstream_data(self, size: int, end_of_stream: bool) -> Action | None:
        """Chooses as soon as the bytes tell; the buffer holds all that came since the connection was paused."""
        if self.context_id not in self.root.waiting:
            return None
        cluster = cluster_for(proxy_wasm.get_buffer(Buffer.DOWNSTREAM_DATA, 0, LONGEST) or b"")
        if cluster is None and not end_of_stream:
            return Action.PAUSE
        del self.root.waiting[self.context_id]
        if cluster:
            proxy_wasm.call_foreign_function("set_envoy_filter_state", MESSAGES[cluster])
        return None

    def on_delete(self) -> None:
        """Forgets a connection that went away while it waited."""
        self.root.waiting.pop(self.context_id, None)


class Plugin(proxy_wasm.RootContext):
    """Knows which connections of its VM wait, and since when."""

    stream_context = Connection

    def on_configure(self, configuration: bytes) -> bool:
        """Starts the clock."""
        self.patience = float(configuration or 0)
        self.waiting: dict[int, float] = {}
        proxy_wasm.set_tick_period(TICK_MILLISECONDS)
        return True

    def on_tick(self) -> None:
        """Lets go whoever has waited for long: in a protocol in which the server speaks first, nothing else happens."""
        due = time.monotonic() - self.patience
        for context_id in [context_id for context_id, since in self.waiting.items() if since <= due]:
            del self.waiting[context_id]
            proxy_wasm.set_effective_context(context_id)
            proxy_wasm.continue_downstream()


proxy_wasm.register(Plugin)
