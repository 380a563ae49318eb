"""The policy engine: ordered rules, the first that matches a connection decides. No host calls: it runs anywhere.

`configuration.py` reads rules from the plugin's configuration; their meaning is in `proto/tcp_routing.proto`. All rules
are asked at once: each field that one of them names has an index from the connection's value to the set of rules that it
satisfies. What the sets have in common are the rules that match. The first rule has the highest bit of a set, and the default the
lowest one. So the length of the number tells which rule decides.
"""

from __future__ import annotations

from binascii import crc32

from filter import cidrs
from filter.index import Index

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from filter.index import Side

    Match = dict[str, Side]
    """Which connections a rule is about: for each field that it names, what it takes of the field's axis."""

MOST_OF_NAMES = 1000  # characters, in a log line
POSITIONS = 10_000  # of a source address, on the scale from 0 to 100 %

FIELDS: dict[str, tuple[Any, Any]] = {
    "source_cidrs": (0, cidrs.END),
    "source_parity": (0, 2),
    "source_percentage": (0, POSITIONS),
    "destination_ports": (0, 1 << 16),
    "server_names": ("", "\U0010ffff"),  # written backwards: so all names below one lie side by side
    "source_ports": (0, 1 << 16),
    "destination_cidrs": (0, cidrs.END),
}
"""What a rule can look at, by the names in the schema and in its order, and the axis: its first value, and what comes behind the last."""


class RuleAction:
    """What becomes of a connection: a cluster, a rejection, or neither, which leaves it to `tcp_proxy`."""

    __slots__ = ("cluster", "reject")

    def __init__(self, cluster: str | None = None, reject: bool = False) -> None:
        self.cluster = cluster
        self.reject = reject


CONTINUE = RuleAction()


class Rule:
    """What a log calls a rule, and its action; `target` is where it sends a connection, as a log says that."""

    __slots__ = ("action", "name", "target")

    def __init__(self, action: RuleAction, name: str = "") -> None:
        self.action = action
        self.name = name
        self.target = f"{action.cluster} by {name}" if action.cluster and name else action.cluster


class Policy:
    """Rules in order, and what becomes of a connection that none of them matches or that cannot be decided upon."""

    __slots__ = (
        *FIELDS,
        "by_length",
        "default",
        "every",
        "fail_closed",
        "needs_destination",
        "needs_more",
        "needs_port",
        "needs_server_name",
        "needs_source",
        "needs_source_port",
        "only_routes",
        "rules",
    )

    source_cidrs: Index | None
    source_percentage: Index | None
    source_ports: Index | None
    destination_cidrs: Index | None
    destination_ports: Index | None
    server_names: Index | None
    source_parity: tuple[int, int] | None

    def __init__(
        self, rules: Sequence[tuple[Match, Rule]], default: RuleAction = CONTINUE, fail_closed: bool = False
    ) -> None:
        self.rules = tuple([rule for _, rule in rules])
        self.default = Rule(default)
        self.fail_closed = fail_closed
        self.by_length = (self.default, self.default, *reversed(self.rules))
        self.every = (2 << len(rules)) - 1
        indexes = {name: _index([match.get(name) for match, _ in rules], axis) for name, axis in FIELDS.items()}
        for name, index in indexes.items():
            setattr(self, name, index)
        parity = indexes["source_parity"]
        self.source_parity = (parity.at(0), parity.at(1)) if parity else None
        # What no rule looks at need not be read, nor be there.
        self.needs_source = bool(indexes["source_cidrs"] or parity or indexes["source_percentage"])
        self.needs_source_port = bool(indexes["source_ports"])
        self.needs_destination = bool(indexes["destination_cidrs"])
        self.needs_server_name = bool(indexes["server_names"])
        self.needs_port = bool(indexes["destination_ports"]) or any(
            "{port}" in (rule.action.cluster or "") for rule in (*self.rules, self.default)
        )
        self.needs_more = self.needs_source_port or self.needs_destination or self.needs_server_name or self.needs_port
        # Then a connection costs no more than under the default rule, but for the decision.
        self.only_routes = self.needs_source and self._has_targets()

    def decide(
        self,
        source: bytes = b"",
        port: int = 0,
        server_name: str = "",
        destination: bytes = b"",
        source_port: int = 0,
    ) -> Rule:
        """Returns the rule for a connection: packed addresses, ports, server name in normal form.

        What the policy does not need may be left out.
        """
        left = self.every
        if self.needs_source:
            if self.source_parity is not None:
                left &= self.source_parity[source[-1] & 1]
            if self.source_cidrs is not None:
                left &= self.source_cidrs.at_address(source)
            if self.source_percentage is not None:
                left &= self.source_percentage.at(source_position(source))
        if self.needs_more:
            if self.destination_ports is not None:
                left &= self.destination_ports.at(port)
            if self.server_names is not None:
                left &= self.server_names.at(server_name[::-1])
            if self.destination_cidrs is not None:
                left &= self.destination_cidrs.at_address(destination)
            if self.source_ports is not None:
                left &= self.source_ports.at(source_port)
        return self.by_length[left.bit_length()]

    def _has_targets(self) -> bool:
        """Tells whether each rule's target stands for one cluster, whatever the connection."""
        targets, rules = self.targets(), (*self.rules, self.default)
        return not any("{port}" in cluster for cluster in targets.values()) and all(
            rule.target is None or targets[rule.target] == rule.action.cluster for rule in rules
        )

    def sets(self) -> list[set[int]]:
        """Returns for each field that a rule names the sets of rules that a value can satisfy."""
        indexes: list[Index | None] = [getattr(self, name) for name in FIELDS if name != "source_parity"]
        found = [index.all_sets() for index in indexes if index]
        return [*found, set(self.source_parity)] if self.source_parity else found

    def targets(self) -> dict[str, str]:
        """Returns the cluster of each rule's target."""
        rules = (*self.rules, self.default)
        return {rule.target: rule.action.cluster for rule in rules if rule.target and rule.action.cluster}

    def all_clusters(self) -> list[str]:
        """Returns every cluster that a rule or the default gives, `{port}` as written."""
        actions = [rule.action for rule in (*self.rules, self.default)]
        return list(dict.fromkeys([action.cluster for action in actions if action.cluster]))

    def describe(self) -> str:
        """Returns what a log line calls it, with the names of its rules as far as a line has room for them."""
        count = len(self.rules)
        names = ", ".join([rule.name for rule in self.rules if rule.name])
        shown = names if len(names) <= MOST_OF_NAMES else names[:MOST_OF_NAMES] + "..."
        rules = f"{count} rule{'' if count == 1 else 's'}{f' ({shown})' if shown else ''}"
        return f"{rules}, failing {'closed' if self.fail_closed else 'open'}"


def source_position(source: bytes) -> int:
    """Returns where a packed address stands on the scale of POSITIONS steps: always the same, everywhere."""
    return crc32(source) % POSITIONS


def _index(sides: Sequence[Side | None], axis: tuple[Any, Any]) -> Index | None:
    rest, taken = 1, []
    for place, side in enumerate(sides):
        rule = 1 << len(sides) - place
        if side is None:
            rest |= rule
        else:
            taken.append((rule, side))
    return Index(taken, rest, len(sides) + 1, axis) if taken else None
