"""Reads the plugin's configuration: `standalone`, `istio`, or an object as in `proto/tcp_routing.proto`.

Whatever is not as the schema says is refused, with the path of the field that is wrong: `rules[2].match.source_cidrs[0]`.
"""

from __future__ import annotations

from filter import message_types, reachability
from filter.matching import cidr_lists, match_of, settle
from filter.policy import CONTINUE, Policy, Rule, RuleAction
from filter.readers import (
    ConfigurationError,
    describe,
    list_reader,
    one_of,
    quote,
    read_fields,
    refuse,
    table,
    text_of,
)
from filter.routing import ISTIO, STANDALONE, Preset
from filter.values import Object, ReadError, read_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from filter.policy import Match

MAX_RULES = 256
MAX_RULE_NAME = 128
MAX_CLUSTER_NAME = 512
MAX_VALUES = 8_192  # in all lists of rules, and in lists of blocks that are not packed

_NAMED = {b"": STANDALONE, b"standalone": STANDALONE, b"istio": ISTIO}
# What JSON text begins with, and what is told to be none: comments, other quotes, a byte order mark, spaces of other kinds.
_JSON = (b"{", b"[", b'"', b"'", b"/", b"#", "\ufeff".encode(), "\u200b".encode(), "\u2060".encode())


def read_configuration(text: bytes) -> Preset | Policy:
    """Returns the configuration, STANDALONE for none, or raises ConfigurationError, never anything else."""
    name = text.strip()
    if name in _NAMED:
        return _NAMED[name]
    if message_types.is_text(text) and not _is_like_json(name):
        raise ConfigurationError(
            f'the configuration is {quote(name)}; it must be "standalone" (or nothing), "istio", or rules '
            "as in tcp_routing.proto"
        )
    try:
        value = read_object(text)
    except ReadError as error:
        other = message_types.guess(text)
        reason = f"is {other}; {message_types.TAKEN}" if other else str(error)
        raise ConfigurationError(f"the configuration {reason}") from None
    # An empty Struct arrives as no bytes at all: as JSON it means the same, no configuration.
    return _policy(value) if value else STANDALONE


def _is_like_json(text: bytes) -> bool:
    return text.startswith(_JSON) or text == b"null" or text.decode()[:1].isspace()


def _policy(value: Object) -> Preset | Policy:
    values = _count(value)
    if values > MAX_VALUES:
        refuse("rules", f"their lists have {values} values; at most {MAX_VALUES} are read: use ranges and packed lists")
    given = read_fields(value, "", _POLICY)
    if "preset" in given:
        if len(given) > 1:
            refuse("preset", f"goes alone; here is {' and '.join(name for name in given if name != 'preset')} too")
        preset: Preset = given["preset"]
        return preset
    rules: list[tuple[Match, Rule]] = given.get("rules", [])
    if len(rules) > MAX_RULES:
        refuse("rules", f"there are {len(rules)}; at most {MAX_RULES} are read")
    if not rules and "default_action" not in given:
        refuse("rules", "missing, and there is no default_action either")
    seen: dict[str, int] = {}
    for place, (_, rule) in enumerate(rules):
        if rule.name and seen.setdefault(rule.name, place) != place:
            refuse(f"rules[{place}].name", f"{quote(rule.name)} is the name of rules[{seen[rule.name]}] too")
    settle([match for match, _ in rules], given.get("cidr_lists", {}))
    policy = Policy(rules, given.get("default_action", CONTINUE), given.get("failure_mode") == "FAIL_CLOSED")
    found = reachability.first_unreachable(policy.sets(), len(rules))
    if found:
        place, before = found
        taken = "the rules before it take" if before is None else f"rules[{before}] takes"
        refuse(f"rules[{place}].match", f"unreachable: {taken} every connection that it matches")
    return policy


def _count(value: Any) -> int:
    """Returns how many values there are in lists, at any depth: one glance at each list is enough for what the schema takes."""
    if isinstance(value, Object):
        return sum([_count(item) for _, item in value])
    if isinstance(value, list):
        return len(value) + (sum(map(_count, value)) if value and isinstance(value[0], (Object, list)) else 0)
    return 0


def _rule(value: Any, path: str) -> tuple[Match, Rule]:
    given = read_fields(value, path, _RULE)
    if "action" not in given:
        refuse(f"{path}.action", "missing")
    return given.get("match", {}), Rule(given["action"], given.get("name", ""))


def _action(value: Any, path: str) -> RuleAction:
    given = read_fields(value, path, _ACTION)
    if len(given) != 1:
        refuse(path, f"give one of cluster, reject and continue; here are {' and '.join(given) or 'none'}")
    return RuleAction(given.get("cluster"), "reject" in given)


def _preset(value: Any, path: str) -> Preset:
    return _NAMED[one_of(value, path, ("standalone", "istio")).encode()]


def _failure_mode(value: Any, path: str) -> str:
    return one_of(value, path, ("FAIL_OPEN", "FAIL_CLOSED"))


def _rule_name(value: Any, path: str) -> str:
    return text_of(value, path, MAX_RULE_NAME)


def _cluster(value: Any, path: str) -> str:
    name = text_of(value, path, MAX_CLUSTER_NAME)
    rest = name.replace("{port}", "")
    if "{" in rest or "}" in rest:
        refuse(path, f"{quote(name)} has a brace that does not belong to {{port}}")
    return name


def _true(value: Any, path: str) -> bool:
    if value is not True:
        refuse(path, f"must be true, not {describe(value)}")
    return True


_ACTION = table({"cluster": _cluster, "reject": _true, "continue": _true})
_RULE = table({"name": _rule_name, "match": match_of, "action": _action})
_POLICY = table(
    {
        "rules": list_reader(_rule),
        "default_action": _action,
        "failure_mode": _failure_mode,
        "preset": _preset,
        "cidr_lists": cidr_lists,
    }
)
