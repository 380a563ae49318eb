"""The policy engine: ordered rules, the first that matches a connection decides. No host calls: it runs anywhere.

`configuration.py` reads rules from the plugin's configuration; their meaning stands in `proto/tcp_routing.proto`. What a
connection needs is prepared when a rule is made: a set for each length of prefix, of ports and of names.
"""

from __future__ import annotations

from binascii import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Blocks = list[tuple[int, frozenset[int]]]

MOST_OF_NAMES = 1000  # characters, in a log line
POSITIONS = 10_000  # of a source address, on the scale from 0 to 100 %
LONGEST_SERVER_NAME = 253  # DNS has no longer one, and a client may send kilobytes


class Match:
    """Which connections a rule is about, as configured; what is None matches anything."""

    __slots__ = ("cidrs", "names", "parity", "percentage", "ports")

    def __init__(
        self,
        cidrs: Sequence[tuple[bytes, int]] | None = None,
        parity: int | None = None,
        percentage: int | None = None,
        ports: Sequence[int] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.cidrs = cidrs  # packed address, length of the prefix
        self.parity = parity  # of the last byte: 0 or 1
        self.percentage = percentage  # in hundredths of a percent
        self.ports = ports
        self.names = names  # in lower case


class Action:
    """What becomes of a connection: a cluster, a rejection, or neither, which leaves it to `tcp_proxy`."""

    __slots__ = ("cluster", "reject")

    def __init__(self, cluster: str | None = None, reject: bool = False) -> None:
        self.cluster = cluster
        self.reject = reject


CONTINUE = Action()


class Rule:
    """A match, ready to be asked, with its action."""

    __slots__ = ("action", "blocks", "name", "names", "parity", "percentage", "ports", "suffixes")

    blocks: dict[int, Blocks] | None

    def __init__(self, match: Match, action: Action, name: str = "") -> None:
        self.action = action
        self.name = name
        self.parity = match.parity
        self.percentage = match.percentage
        self.blocks = None if match.cidrs is None else _by_length(match.cidrs)
        self.ports = None if match.ports is None else frozenset(match.ports)
        self.names = self.suffixes = None
        if match.names is not None:
            self.names = frozenset(name for name in match.names if name[0] != "*")
            self.suffixes = frozenset(name[1:] for name in match.names if name[0] == "*")


class Policy:
    """Rules in order, and what becomes of a connection that none of them matches or that cannot be decided upon."""

    __slots__ = ("default", "fail_closed", "needs_port", "needs_server_name", "needs_source", "rules")

    def __init__(self, rules: Iterable[Rule], default: Action = CONTINUE, fail_closed: bool = False) -> None:
        self.rules = tuple(rules)
        self.default = Rule(Match(), default)
        self.fail_closed = fail_closed
        # What no rule looks at need not be read, nor be there.
        self.needs_source = any(
            rule.blocks is not None or rule.parity is not None or rule.percentage is not None for rule in self.rules
        )
        self.needs_server_name = any(rule.names is not None for rule in self.rules)
        self.needs_port = any(
            rule.ports is not None or "{port}" in (rule.action.cluster or "") for rule in (*self.rules, self.default)
        )

    def decide(self, source: bytes = b"", port: int = 0, server_name: str = "") -> Rule:
        """Returns the rule for a connection: packed source address, destination port, server name in lower case.

        What the policy does not need may be left out.
        """
        size = len(source)
        address = int.from_bytes(source, "big")
        position = None
        for rule in self.rules:
            if rule.ports is not None and port not in rule.ports:
                continue
            if rule.parity is not None and address & 1 != rule.parity:
                continue
            if rule.blocks is not None:
                for drop, left in rule.blocks[size]:
                    if address >> drop in left:
                        break
                else:
                    continue
            if rule.percentage is not None:
                if position is None:
                    position = source_position(source)
                if position >= rule.percentage:
                    continue
            if rule.names is not None and not _is_named(server_name, rule):
                continue
            return rule
        return self.default

    def all_clusters(self) -> list[str]:
        """Returns every cluster that a rule or the default gives, `{port}` as written."""
        actions = [rule.action for rule in (*self.rules, self.default)]
        return list(dict.fromkeys(action.cluster for action in actions if action.cluster))

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


def _by_length(cidrs: Sequence[tuple[bytes, int]]) -> dict[int, Blocks]:
    """Returns, for addresses of 4 and of 16 bytes, how many bits to drop and what may be left of them."""
    found: dict[int, dict[int, set[int]]] = {4: {}, 16: {}}
    for address, length in cidrs:
        drop = 8 * len(address) - length
        found[len(address)].setdefault(drop, set()).add(int.from_bytes(address, "big") >> drop)
    return {size: [(drop, frozenset(left)) for drop, left in drops.items()] for size, drops in found.items()}


def _is_named(name: str, rule: Rule) -> bool:
    if not name or len(name) > LONGEST_SERVER_NAME:
        return False
    assert rule.names is not None and rule.suffixes is not None
    if name in rule.names:
        return True
    if rule.suffixes:
        dot = name.find(".")
        while dot >= 0:
            if name[dot:] in rule.suffixes:
                return True
            dot = name.find(".", dot + 1)
    return False
