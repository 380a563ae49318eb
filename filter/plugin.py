"""The plugin around the routing rule: reads the source address, tells `tcp_proxy` the cluster, logs one line.

All that does not depend on the connection is done when the configuration comes: one property is read and one foreign
function called for each connection, and in Istio the destination's port is read too.
"""

from __future__ import annotations

import proxy_wasm
from filter.address import AddressError
from filter.routing import STANDALONE, Configuration, ConfigurationError, read_configuration, route
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm import Action, FailurePolicy, HostError, LogLevel

SOURCE_ADDRESS = proxy_wasm.property_path("source", "address")
DESTINATION_PORT = proxy_wasm.property_path("destination", "port")
SET_FILTER_STATE = b"set_envoy_filter_state"


def set_cluster_argument(cluster: str) -> bytes:
    """Returns what `set_envoy_filter_state` takes to make `tcp_proxy` choose a cluster."""
    return SetEnvoyFilterStateArguments(
        path="envoy.tcp_proxy.cluster", value=cluster, span=LifeSpan.FilterChain
    ).SerializeToString()


class Connection(proxy_wasm.StreamContext):
    """A connection to be routed."""

    root: Plugin

    def on_new_connection(self) -> Action:
        """Chooses the cluster; without a readable source address it stays the one in `tcp_proxy`'s configuration."""
        plugin = self.root
        source = proxy_wasm.get_property(SOURCE_ADDRESS) or b""
        try:
            cluster = route(source, plugin.configuration, destination_port() if plugin.by_port else 0)
        except AddressError as error:
            proxy_wasm.warn(f"[TCP WASM] {error}")
            return Action.CONTINUE
        try:
            proxy_wasm.call_foreign_function(SET_FILTER_STATE, plugin.arguments[cluster])
        except HostError as error:
            proxy_wasm.error(f"[TCP WASM] Failed to set Envoy filter state for {cluster}: {error}")
            raise  # to the failure policy
        if plugin.log_routes:
            proxy_wasm.info(b"[TCP WASM] Routed source %b to %b" % (source, cluster.encode()))
        return Action.CONTINUE


class Plugin(proxy_wasm.RootContext):
    """The plugin, ready for connections once it is configured."""

    stream_context = Connection

    # Routing is no guard: a connection that cannot be routed goes to tcp_proxy's own cluster.
    failure_policy = FailurePolicy.CONTINUE

    def __init__(self, context_id: int) -> None:
        super().__init__(context_id)
        self.use(STANDALONE)
        self.log_routes = False

    def use(self, configuration: Configuration) -> None:
        """Prepares what connections need: the messages are encoded here, and never again."""
        self.configuration = configuration
        self.by_port = bool(configuration.by_destination_port)
        self.arguments = {cluster: set_cluster_argument(cluster) for cluster in configuration.all_clusters()}

    def on_configure(self, configuration: bytes) -> bool:
        """Takes `standalone` or `istio`, and refuses anything else."""
        try:
            self.use(read_configuration(configuration))
        except ConfigurationError as error:
            proxy_wasm.error(f"[TCP WASM] Refused: {error}")
            return False
        # Asked once and not per connection: a level changed later counts from the next configuration on.
        self.log_routes = proxy_wasm.log_enabled(LogLevel.INFO)
        proxy_wasm.info(f'[TCP WASM] Configuration: "{self.configuration.name}"')
        return True


def destination_port() -> int:
    """Returns the port that the client connected to; 0 for a Unix socket."""
    return int.from_bytes(proxy_wasm.get_property(DESTINATION_PORT) or b"", "little")


proxy_wasm.register(Plugin)
