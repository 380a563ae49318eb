"""Reads the plugin's configuration: `standalone`, `istio`, or an object as in `proto/tcp_routing.proto`.

Whatever is not as the schema says is refused, with the path of the field that is wrong: `rules[2].match.source_cidrs[0]`.
"""

from __future__ import annotations

from filter import message_types, reachability
from filter.address import AddressError, packed
from filter.policy import CONTINUE, POSITIONS, Action, Match, Policy, Rule
from filter.routing import ISTIO, STANDALONE, Configuration
from filter.server_names import LONGEST, normal_form
from filter.values import Object, ReadError, read_number, read_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    Reader = Callable[[Any, str], Any]

MAX_RULES = 256
MAX_RULE_NAME = 128
MAX_CLUSTER_NAME = 512

_NAMED = {b"": STANDALONE, b"standalone": STANDALONE, b"istio": ISTIO}
_JSON = (b"{", b"[", b"\xef\xbb\xbf")  # what JSON text begins with, or a byte order mark, which is told then
_SERVER_NAME = "abcdefghijklmnopqrstuvwxyz0123456789-_."
_HEXADECIMAL_AND_MORE = "0123456789abcdefABCDEF.:"


class ConfigurationError(ValueError):
    """The plugin's configuration is none; the text names the field and the reason, in one line."""


def read_configuration(text: bytes) -> Configuration | Policy:
    """Returns the configuration, STANDALONE for none, or raises ConfigurationError, never anything else."""
    name = text.strip()
    if name in _NAMED:
        return _NAMED[name]
    if message_types.is_text(text) and not name.startswith(_JSON):
        raise ConfigurationError(
            f'the configuration is {_quote(name)}; it must be "standalone" (or nothing), "istio", or rules '
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


# ---- the schema


def _policy(value: Object) -> Configuration | Policy:
    given = _fields(
        value,
        "",
        {"rules": _list(_rule), "default_action": _action, "failure_mode": _failure_mode, "preset": _preset},
    )
    if "preset" in given:
        if len(given) > 1:
            _refuse("preset", f"goes alone; here is {' and '.join(name for name in given if name != 'preset')} too")
        preset: Configuration = given["preset"]
        return preset
    rules: list[tuple[Match, Action, str]] = given.get("rules", [])
    if len(rules) > MAX_RULES:
        _refuse("rules", f"there are {len(rules)}; at most {MAX_RULES} are read")
    if not rules and "default_action" not in given:
        _refuse("rules", "missing, and there is no default_action either")
    seen: dict[str, int] = {}
    for place, (_, _, name) in enumerate(rules):
        if name and seen.setdefault(name, place) != place:
            _refuse(f"rules[{place}].name", f"{_quote(name)} is the name of rules[{seen[name]}] too")
    found = reachability.first_unreachable([match for match, _, _ in rules])
    if found:
        place, before = found
        taken = "the rules before it take" if before is None else f"rules[{before}] takes"
        _refuse(f"rules[{place}].match", f"unreachable: {taken} every connection that it matches")
    return Policy(
        [Rule(*rule) for rule in rules],
        given.get("default_action", CONTINUE),
        given.get("failure_mode") == "FAIL_CLOSED",
    )


def _rule(value: Any, path: str) -> tuple[Match, Action, str]:
    given = _fields(value, path, {"name": _rule_name, "match": _match, "action": _action})
    if "action" not in given:
        _refuse(f"{path}.action", "missing")
    return given.get("match", Match()), given["action"], given.get("name", "")


def _match(value: Any, path: str) -> Match:
    given = _fields(
        value,
        path,
        {
            "source_cidrs": _list(_cidr, reachability.block_interval),
            "source_parity": _parity,
            "source_percentage": _percentage,
            "destination_ports": _list(_port, reachability.port_interval),
            "server_names": _list(_server_name, reachability.name_interval),
        },
    )
    match = Match(
        given.get("source_cidrs"),
        given.get("source_parity"),
        given.get("source_percentage"),
        given.get("destination_ports"),
        given.get("server_names"),
    )
    if match.cidrs and all(length == 8 * len(address) for address, length in match.cidrs):
        # Of a single address the parity and the position are known, here and not only when it connects.
        alone = Policy([Rule(Match(match.cidrs, match.parity, match.percentage), CONTINUE)])
        if all(alone.decide(address) is alone.default for address, _ in match.cidrs):
            _refuse(path, "matches nothing: none of these addresses has this parity and percentage")
    return match


def _action(value: Any, path: str) -> Action:
    given = _fields(value, path, {"cluster": _cluster, "reject": _true, "continue": _true})
    if len(given) != 1:
        _refuse(path, f"give one of cluster, reject and continue; here are {' and '.join(given) or 'none'}")
    return Action(given.get("cluster"), "reject" in given)


def _preset(value: Any, path: str) -> Configuration:
    return _NAMED[_one_of(value, path, ("standalone", "istio")).encode()]


def _failure_mode(value: Any, path: str) -> str:
    return _one_of(value, path, ("FAIL_OPEN", "FAIL_CLOSED"))


def _parity(value: Any, path: str) -> int:
    return int(_one_of(value, path, ("EVEN", "ODD")) == "ODD")


def _rule_name(value: Any, path: str) -> str:
    return _text(value, path, MAX_RULE_NAME)


def _cluster(value: Any, path: str) -> str:
    name = _text(value, path, MAX_CLUSTER_NAME)
    rest = name.replace("{port}", "")
    if "{" in rest or "}" in rest:
        _refuse(path, f"{_quote(name)} has a brace that does not belong to {{port}}")
    return name


def _true(value: Any, path: str) -> bool:
    if value is not True:
        _refuse(path, f"must be true, not {_describe(value)}")
    return True


def _cidr(value: Any, path: str) -> tuple[bytes, int]:
    text = _text(value, path, 64)
    host, slash, prefix = text.partition("/")
    try:
        # Only what is an address and nothing else: no port, brackets or zone id.
        if host.strip(_HEXADECIMAL_AND_MORE) or host.count(":") == 1:
            raise AddressError
        address = packed(host.encode())
    except AddressError:
        _refuse(path, f"{_quote(text)} is not a block of IP addresses")
    bits = 8 * len(address)
    if bits == 32 and ":" in host:
        _refuse(path, f"{_quote(text)} is an IPv4-mapped address; write the block of IPv4 addresses")
    if not slash:
        return address, bits
    if not (prefix.isascii() and prefix.isdigit() and int(prefix) <= bits):
        _refuse(path, f"{_quote(text)} has a prefix length that is not a number from 0 to {bits}")
    length = int(prefix)
    if int.from_bytes(address, "big") & ((1 << bits - length) - 1):
        _refuse(path, f"{_quote(text)} has bits set behind the prefix of {length}")
    return address, length


def _percentage(value: Any, path: str) -> int:
    value = _number(value, path)
    if not 0 < value <= 100:
        _refuse(path, f"must be more than 0 and at most 100, not {_describe(value)}")
    positions: int = round(value * POSITIONS / 100)
    if abs(positions * 100 / POSITIONS - value) > 1e-9:
        _refuse(path, f"must be a multiple of 0.01, not {_describe(value)}")
    return positions


def _port(value: Any, path: str) -> int:
    value = _number(value, path)
    if value != value // 1:
        _refuse(path, f"must be a whole number, not {_describe(value)}")
    if not 1 <= value <= 65535:
        _refuse(path, f"must be a port from 1 to 65535, not {_describe(value)}")
    return int(value)


def _server_name(value: Any, path: str) -> str:
    text = _text(value, path, LONGEST + str(value).endswith("."))
    if not text.isascii():
        _refuse(path, f"{_quote(text)} is not ASCII; write an international name in its xn-- form")
    name = normal_form(text)
    # Without the wildcard: labels of letters, digits, "-" and "_".
    rest = name[2:] if name.startswith("*.") else name
    if rest.strip(_SERVER_NAME) or "*" in rest or not all(rest.split(".")) or text.endswith(".."):
        _refuse(path, f'{_quote(text)} is not a name such as "www.example.com" or "*.example.com"')
    return name


# ---- readers of JSON values: each returns what it reads, or refuses it by its path


def _refuse(path: str, reason: str) -> NoReturn:
    raise ConfigurationError(f"{path}: {reason}")


def _fields(value: Any, path: str, readers: dict[str, Reader]) -> dict[str, Any]:
    """Reads an object: each field at most once, by its name or by the lowerCamelCase form of it."""
    if not isinstance(value, Object):
        _refuse(path, f"must be an object, not {_describe(value)}")
    names = {_camel_case(name): name for name in readers} | {name: name for name in readers}
    read: dict[str, Any] = {}
    for given, item in value:
        name = names.get(given)
        inner = f"{path}.{name or given[:80]}" if path else name or given[:80]
        if name is None:
            _refuse(ascii(inner)[1:-1], f"unknown field; there are {', '.join(readers)}")
        if name in read:
            _refuse(inner, "given twice")
        read[name] = readers[name](item, inner)
    return read


def _camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join([word.capitalize() for word in others])


def _list(read: Reader, interval: Callable[[Any], reachability.Interval] | None = None) -> Reader:
    """Returns a reader of lists; where values have an interval, none may lie within another's."""

    def read_list(value: Any, path: str) -> Sequence[Any]:
        if not isinstance(value, list):
            _refuse(path, f"must be a list, not {_describe(value)}")
        if not value:
            _refuse(path, "must not be empty; leave it out")
        items = [read(item, f"{path}[{place}]") for place, item in enumerate(value)]
        if interval:
            overlap = reachability.first_overlap([interval(item) for item in items])
            if overlap:
                _refuse(f"{path}[{overlap[0]}]", f"overlaps: it lies within {path}[{overlap[1]}]")
        return items

    return read_list


def _one_of(value: Any, path: str, names: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in names:
        given = _quote(value) if isinstance(value, str) else _describe(value)
        _refuse(path, f"must be {' or '.join(names)}, not {given}")
    return value


def _text(value: Any, path: str, longest: int) -> str:
    if not isinstance(value, str):
        _refuse(path, f"must be a string, not {_describe(value)}")
    if not value:
        _refuse(path, "must not be empty")
    if len(value) > longest:
        _refuse(path, f"has {len(value)} characters; at most {longest} are read")
    if not value.isprintable():
        _refuse(path, f"{_quote(value)} has a character that cannot be printed")
    return value


def _number(value: Any, path: str) -> int | float:
    # Envoy's reader of YAML hands 12.5 over as text; protobuf's JSON mapping takes text for numbers too.
    number: Any = read_number(value) if isinstance(value, str) else value
    if not _is_number(number):
        _refuse(path, f"must be a number, not {_quote(value) if isinstance(value, str) else _describe(value)}")
    read: int | float = number
    return read


def _is_number(value: Any) -> bool:
    # Infinity and NaN are no JSON, but 1e999 is, and becomes an infinity.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _describe(value: Any) -> str:
    if isinstance(value, Object):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a string"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    # All numbers of a Struct are floats.
    return str(int(value) if _is_number(value) and value % 1 == 0 else value)[:40]


def _quote(text: str | bytes) -> str:
    """Returns a text between quotes, short enough for a log line, whatever is in it."""
    return ascii(text[:80]).removeprefix("b")
