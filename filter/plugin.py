"""The plugin around the rules: reads what a rule looks at, tells `tcp_proxy` the cluster, counts, logs one line.

All that does not depend on the connection is done when the configuration comes. Under the default rule a connection costs three
host calls: its source address is read, the cluster is set and counted. In Istio the destination's port is read too. The SDK's router makes
them, and asks `route` in between. Rules that look at the source's address only are a table for it, and run no Python.
"""

from __future__ import annotations

import gc

import proxy_wasm
from filter.address import AddressError, no_address, packed
from filter.configuration import read_configuration
from filter.counters import UNDEFINED, counter
from filter.policy import Policy, Rule
from filter.readers import ConfigurationError
from filter.routing import Preset, route
from filter.server_names import normal_form
from filter.source_table import source_table
from proto.set_envoy_filter_state_pb import LifeSpan, SetEnvoyFilterStateArguments
from proxy_wasm import (
    Action,
    FailurePolicy,
    HostError,
    InternalFailureError,
    LogLevel,
    call_foreign_function,
    get_property,
    increment_metric,
    log,
)
from proxy_wasm.routing import SourceRouter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

SOURCE_ADDRESS = proxy_wasm.property_path("source", "address")
SOURCE_PORT = proxy_wasm.property_path("source", "port")
DESTINATION_ADDRESS = proxy_wasm.property_path("destination", "address")
DESTINATION_PORT = proxy_wasm.property_path("destination", "port")
SERVER_NAME = proxy_wasm.property_path("connection", "requested_server_name")
RULE_NAME = b"tcp_routing.rule"  # Envoy puts "wasm." before it
SET_FILTER_STATE = b"set_envoy_filter_state"
ROUTED = b"[TCP WASM] Routed source %b to %b"
MAX_PORTS = 256
INFO = int(LogLevel.INFO)


def set_cluster_argument(cluster: str) -> bytes:
    """Returns what `set_envoy_filter_state` takes to make `tcp_proxy` choose a cluster."""
    return SetEnvoyFilterStateArguments(
        path="envoy.tcp_proxy.cluster", value=cluster, span=LifeSpan.FilterChain
    ).SerializeToString()


class Target:
    """A cluster to send connections to, and the message that does it; with "{port}", one for each destination port."""

    __slots__ = ("argument", "by_port", "counter", "name", "template")

    def __init__(self, cluster: str) -> None:
        self.counter = counter(f"routed.{cluster}")
        self.name = cluster.encode()
        self.argument = set_cluster_argument(cluster)
        self.template = cluster if "{port}" in cluster else ""
        self.by_port: dict[int, tuple[bytes, bytes]] = {}

    def at(self, port: int) -> tuple[bytes, bytes]:
        """Returns the cluster's name for a destination port, if "{port}" is in it, and its message; raises AddressError for port 0."""
        found = self.by_port.get(port)
        if found is None:
            if not port:
                raise AddressError("Missing destination port property")
            # Where Envoy is a transparent proxy the client chooses the port: what is kept has a bound.
            if len(self.by_port) >= MAX_PORTS:
                self.by_port.clear()
            cluster = self.template.replace("{port}", str(port))
            found = self.by_port[port] = cluster.encode(), set_cluster_argument(cluster)
        return found


class Unconfigured(proxy_wasm.StreamContext):
    """A connection of a plugin that was never told its configuration: the proxy may not call `proxy_on_configure`."""

    __slots__ = ()

    def on_new_connection(self) -> Action | None:
        """Closes the connection: nobody knows where it may go."""
        proxy_wasm.error("[TCP WASM] Closed: no configuration came; is the capability proxy_on_configure allowed?")
        proxy_wasm.close_downstream()
        return Action.PAUSE


class Routes(SourceRouter):
    """Connections under the default rule, or under nearly all others: there is no object for each."""

    __slots__ = ("clusters", "plugin")

    def __init__(self, plugin: Plugin, read: Preset | Policy) -> None:
        choose: Callable[[bytes, Any], str | Action | None]
        argument: Any = plugin
        names: dict[str, str] = {}
        if isinstance(read, Policy):
            choose = source_table(read, route_by_rules) or route_by_rules
            names = {rule.target: rule.name for rule in read.rules if rule.target and rule.name}
        else:
            choose, argument = (route_by_port, read) if read.needs_port else (route, read.clusters)
        super().__init__(choose, argument, ROUTED if plugin.log_routes else None)
        self.plugin = plugin
        self.clusters = read.targets()
        for target, cluster in self.clusters.items():
            made = plugin.targets[cluster]
            name = (RULE_NAME, names[target].encode()) if target in names else None
            self.targets[target] = made.argument, made.counter, name

    def on_unrouted(self, address: bytes | None) -> Action | None:
        """Leaves a connection without an IP address to the failure policy."""
        return self.plugin.give_up(no_address(address))

    def on_failed(self, error: BaseException, cluster: str | None) -> Action | None:
        """Leaves any other connection that cannot be decided upon to it."""
        if cluster and isinstance(error, HostError):
            log_refused(self.clusters[cluster].encode(), error)
        return self.plugin.give_up(error)

    def on_uncounted(self, error: HostError) -> None:
        """Counts no more."""
        super().on_uncounted(error)
        self.plugin.go_without(error)

    def on_unset(self, error: HostError) -> None:
        """Tells the access log of rules no more."""
        super().on_unset(error)
        self.plugin.go_without(error)


class PolicyConnection(proxy_wasm.StreamContext):
    """A connection under rules that look at no source, or whose clusters depend on the port."""

    __slots__ = ()

    root: Plugin

    def on_new_connection(self) -> Action | None:
        """Does what the first rule that matches says."""
        plugin = self.root
        policy = plugin.policy
        try:
            source = get_property(SOURCE_ADDRESS) or b""
            address = packed(source) if policy.needs_source else b""
            port = destination_port() if policy.needs_port else 0
            rule = decide(policy, address, port) if policy.needs_more else policy.decide(address)
            if rule.action.cluster is None:
                return plugin.leave(rule)
            target = plugin.targets[rule.action.cluster]
            cluster, argument = target.name, target.argument
            if target.template:
                cluster, argument = target.at(port)
            try:
                call_foreign_function(SET_FILTER_STATE, argument)
            except HostError as error:
                log_refused(cluster, error)
                raise
        except Exception as error:
            return plugin.give_up(error)
        try:
            if rule.name:
                plugin.set_property(RULE_NAME, rule.name)
            plugin.count(target.counter, 1)
            if plugin.log_routes:
                log_decision(rule, b"Routed", source, cluster)
        except HostError as error:
            plugin.go_without(error)
        return None


class Plugin(proxy_wasm.RootContext):
    """The plugin, ready for connections once it is configured."""

    stream_context: type[proxy_wasm.StreamContext] | SourceRouter = Unconfigured
    failure_policy = FailurePolicy.CLOSE  # until a configuration says what

    policy: Policy

    def on_configure(self, configuration: bytes) -> bool:
        """Takes `standalone`, `istio` or an object, and refuses anything else; what was in force before then stays so."""
        # What is made here stays, or is gone at once: looking for garbage meanwhile would cost more than reading does.
        gc.disable()
        try:
            read = read_configuration(configuration)
        except ConfigurationError as error:
            return self.refuse(str(error))
        finally:
            gc.enable()
        refused = refused_call(closes(read))
        if refused:
            return self.refuse(f"the proxy does not allow {refused}, which this needs; add it to allowed_capabilities")
        self.failure_policy = FailurePolicy.CLOSE if read.fail_closed else FailurePolicy.CONTINUE
        self.count: Callable[[int, int], None] = increment_metric
        self.set_property: Callable[[bytes, str], None] = proxy_wasm.set_property
        # The messages are encoded here, and never again.
        self.targets = {cluster: Target(cluster) for cluster in read.all_clusters()}
        self.continued, self.rejected = counter("continued"), counter("rejected")
        self.unparsed, self.failed = counter("unparsed"), counter("failed")
        if UNDEFINED in (self.unparsed, self.failed):
            self.count = do_nothing
        try:
            # Asked once and not per connection: a level changed later counts from the next configuration on.
            self.log_routes = proxy_wasm.log_enabled(LogLevel.INFO)
            log(INFO, f"[TCP WASM] Configuration: {read.describe()}")
        except HostError:
            self.log_routes = False
        if isinstance(read, Policy):
            self.policy = read
        only_routes = isinstance(read, Preset) or read.only_routes
        self.stream_context = Routes(self, read) if only_routes else PolicyConnection
        return True

    def refuse(self, reason: str) -> bool:
        """Logs why a configuration is refused, and returns False."""
        proxy_wasm.error(f"[TCP WASM] Refused: {reason}")
        return False

    def go_without(self, error: HostError) -> None:
        """Gives up counts, or names of rules, once the proxy has refused one: neither decides about a connection."""
        if error.call == "proxy_set_property":
            self.set_property = do_nothing
        else:
            self.count = do_nothing
        proxy_wasm.warn(f"[TCP WASM] Not called any more, for the proxy refuses it: {error}")

    def leave(self, rule: Rule) -> Action | None:
        """Closes a connection if its rule says so, or leaves it with `tcp_proxy`'s own cluster."""
        what, counted, action = b"Continued", self.continued, None
        if rule.action.reject:
            proxy_wasm.close_downstream()
            what, counted, action = b"Rejected", self.rejected, Action.PAUSE
        try:
            if rule.name:
                self.set_property(RULE_NAME, rule.name)
            self.count(counted, 1)
            if self.log_routes:
                log_decision(rule, what, get_property(SOURCE_ADDRESS) or b"", b"")
        except HostError as error:
            self.go_without(error)
        return action

    def give_up(self, error: BaseException) -> Action:
        """Counts a connection that cannot be decided upon, and does with it what the failure policy says."""
        missing = isinstance(error, AddressError)
        try:
            self.count(self.unparsed if missing else self.failed, 1)
        except HostError as refused:
            self.go_without(refused)
        if not missing:
            raise error  # to the failure policy
        proxy_wasm.warn(f"[TCP WASM] {error}")
        if self.failure_policy is FailurePolicy.CONTINUE:
            return Action.CONTINUE
        proxy_wasm.close_downstream()
        return Action.PAUSE


def closes(read: Preset | Policy) -> bool:
    """Tells whether a connection may have to be closed."""
    return read.fail_closed or (
        isinstance(read, Policy) and any(rule.action.reject for rule in (*read.rules, read.default))
    )


def refused_call(closing: bool) -> str:
    """Returns a host call that the filter needs and may not make; "" if there is none.

    Each is made once where it changes nothing: on the root context, which has no connection.
    """
    try:
        get_property(SOURCE_ADDRESS)
        if closing:
            proxy_wasm.close_downstream()
        call_foreign_function(b"", b"")
    except InternalFailureError as error:
        return error.call
    except HostError:
        pass  # no such function, as it should be
    return ""


def route_by_port(source: bytes, preset: Preset) -> str:
    """Returns the cluster for a source if it depends on the port, too, that the client connected to."""
    return route(source, preset.clusters_at(destination_port()))


def route_by_rules(source: bytes, plugin: Plugin) -> str | Action | None:
    """Does what the first rule that matches says, but for routing: that is left to the router."""
    policy = plugin.policy
    port = destination_port() if policy.needs_port else 0
    rule = decide(policy, source, port) if policy.needs_more else policy.decide(source)
    return plugin.leave(rule) if rule.target is None else rule.target


def decide(policy: Policy, address: bytes, port: int) -> Rule:
    """Returns the first rule that matches, if rules look at more than the source: what that is, is read here."""
    return policy.decide(
        address,
        port,
        server_name() if policy.needs_server_name else "",
        packed(get_property(DESTINATION_ADDRESS), "destination") if policy.needs_destination else b"",
        source_port() if policy.needs_source_port else 0,
    )


def log_decision(rule: Rule, what: bytes, source: bytes, cluster: bytes) -> None:
    """Logs what became of a connection, where it went, and by which rule if that has a name."""
    to = b" to " + cluster if cluster else b""
    by = f" by {rule.name}".encode() if rule.name else b""
    proxy_wasm.info(b"[TCP WASM] %b source %b%b%b" % (what, source, to, by))


def do_nothing(*_: object) -> None:
    """Takes the place of a host call that the proxy refuses."""


def log_refused(cluster: bytes, error: HostError) -> None:
    """Logs that Envoy does not take a cluster's message."""
    proxy_wasm.error(f"[TCP WASM] Failed to set Envoy filter state for {cluster.decode()}: {error}")


def destination_port() -> int:
    """Returns the port that the client connected to; 0 for a Unix socket."""
    return int.from_bytes(get_property(DESTINATION_PORT) or b"", "little")


def source_port() -> int:
    """Returns the port that the client connected from; 0 for a Unix socket."""
    return int.from_bytes(get_property(SOURCE_PORT) or b"", "little")


def server_name() -> str:
    """Returns the name that a TLS client asked for, in normal form; "" where Envoy has none."""
    return normal_form((get_property(SERVER_NAME) or b"").decode("latin-1"))


proxy_wasm.register(Plugin)
