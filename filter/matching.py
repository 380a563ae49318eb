"""Reads what a rule looks at, field by field, and the lists of blocks.

What a rule takes of a field is a list of values, as a rule. Long ones are first read many values at a time, by functions of C
that take what is written in the usual way. A value that they do not take is read alone, and is refused if it is wrong.
"""

from __future__ import annotations

from operator import gt

from filter import cidrs, reachability
from filter.address import AddressError, packed
from filter.cidrs import PackedCidrs
from filter.index import Side
from filter.policy import CONTINUE, POSITIONS, Policy, Rule
from filter.readers import check_list, describe, number_of, one_of, quote, read_fields, refuse, table, text_of
from filter.server_names import LONGEST, normal_form
from filter.values import Object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from filter.index import Boundaries
    from filter.policy import Match
    from filter.readers import Reader

    Intervals = tuple[Sequence[Any], Sequence[Any]]  # where they begin, where they end

MAX_LISTS = 16
MAX_LIST_NAME = 128
MAX_SINGLE_ADDRESSES = 1000  # of a rule, of which it is known whether one has the parity and the percentage
MAX_VALUES_OF_SEVERAL = 8_000  # of one field, if several rules have it
LIST = "list:"  # before the name of a list, among blocks

_AT_ONCE = 512  # values of a list: one that is wrong costs a slow look at so many
_SERVER_NAME = "abcdefghijklmnopqrstuvwxyz0123456789-_."
_HEXADECIMAL_AND_MORE = "0123456789abcdefABCDEF.:"
_PLAIN = (_SERVER_NAME + "*\n").encode()  # of server names, a line each
_increased = (1).__add__


def match_of(value: Any, path: str) -> Match:
    """Reads which connections a rule is about."""
    match: Match = read_fields(value, path, MATCH)
    addresses = match.get("source_cidrs")
    others: Match = {name: match[name] for name in ("source_parity", "source_percentage") if name in match}
    if others and addresses and not addresses.lists and len(addresses.boundaries) <= 2 * MAX_SINGLE_ADDRESSES:
        starts, ends = addresses.boundaries[::2], addresses.boundaries[1::2]
        if list(map(_increased, starts)) == ends:
            # Of a single address the parity and the position are known, here and not only when it connects.
            alone = Policy([(others, Rule(CONTINUE))])
            if all(alone.decide(cidrs.address(start)) is alone.default for start in starts):
                refuse(path, "matches nothing: none of these addresses has this parity and percentage")
    return match


def cidr_lists(value: Any, path: str) -> dict[str, Boundaries | PackedCidrs]:
    """Reads the lists of blocks, by their names."""
    if not isinstance(value, Object):
        refuse(path, f"must be an object, not {describe(value)}")
    if len(value) > MAX_LISTS:
        refuse(path, f"there are {len(value)}; at most {MAX_LISTS} are read")
    lists = {}
    for name, item in value:
        text_of(name, path, MAX_LIST_NAME)
        inner = f"{path}.{quote(name)}"
        if name in lists:
            refuse(inner, "given twice")
        given = read_fields(item, inner, _CIDR_LIST)
        if len(given) != 1:
            refuse(inner, f"give one of cidrs and packed; here are {' and '.join(given) or 'none'}")
        lists[name] = given["packed"] if "packed" in given else given["cidrs"].boundaries
    return lists


def resolve_lists(rules: list[tuple[Match, Rule]], lists: dict[str, Boundaries | PackedCidrs]) -> None:
    """Puts the lists themselves in the place of their names."""
    for match, _ in rules:
        for side in match.values():
            if side.lists:
                for name, path in side.lists:
                    if name not in lists:
                        there = f"; there are {', '.join(map(quote, lists))}"[:500] if lists else ""
                        refuse(path, f"{quote(name)} is not in cidr_lists{there}")
                side.lists = [lists[name] for name, _ in side.lists]


def check_size(name: str, sides: Sequence[Side]) -> None:
    """Refuses what several rules look at if it is so much that laying it out would hold up connections."""
    shared = {id(boundaries): boundaries for side in sides for boundaries in side.lists if isinstance(boundaries, list)}
    values = sum([len(boundaries) for boundaries in (*[side.boundaries for side in sides], *shared.values())]) // 2
    if len(sides) > 1 and values > MAX_VALUES_OF_SEVERAL:
        refuse(
            "rules", f"they have {values} values of {name}; at most {MAX_VALUES_OF_SEVERAL} are read of several rules"
        )


def _packed(value: Any, path: str) -> PackedCidrs:
    if not isinstance(value, str):
        refuse(path, f"must be a string, not {describe(value)}")
    try:
        return PackedCidrs(value)
    except ValueError as error:
        refuse(path, f"is not a packed list ({error}); make one with filter/pack_cidrs.py")


def _side(read: Reader, read_many: Callable[[Sequence[Any]], Intervals | None]) -> Reader:
    """Returns a reader of lists of what a rule takes of a field; none may lie within another.

    `read_many` is quick, and returns None if one of the values is wrong or unusual. These are read one by one.
    """

    def read_side(value: Any, path: str) -> Side:
        starts: list[Any] = []
        ends: list[Any] = []
        shared = []
        check_list(value, path)
        for first in range(0, len(value), _AT_ONCE):
            some = value[first : first + _AT_ONCE]
            many = read_many(some)
            if many:
                starts += many[0]
                ends += many[1]
                continue
            for place, item in enumerate(some, first):
                one = read(item, f"{path}[{place}]")
                if isinstance(one, tuple):
                    starts.append(one[0])
                    ends.append(one[1])
                else:
                    shared.append((one, f"{path}[{place}]"))
        boundaries: list[Any] = [None] * (2 * len(starts))
        boundaries[::2], boundaries[1::2] = sorted(starts), sorted(ends)
        if any(map(gt, boundaries[1::2], boundaries[2::2])):
            _refuse_overlap(value, path, read)
        return Side(boundaries, shared)

    return read_side


def _refuse_overlap(value: list[Any], path: str, read: Reader) -> None:
    read_all = [read(item, path) for item in value]
    places = [place for place, item in enumerate(read_all) if isinstance(item, tuple)]
    found = reachability.first_overlap([read_all[place] for place in places])
    if found:
        inner, outer = (read_all[places[place]] for place in found)
        how = "lies within" if outer[0] <= inner[0] and inner[1] <= outer[1] else "has a part of"
        refuse(f"{path}[{places[found[0]]}]", f"overlaps: it {how} {path}[{places[found[1]]}]")


def _block(value: Any, path: str) -> tuple[int, int] | str:
    """Reads a block, or the name of a list of blocks."""
    if isinstance(value, str) and value.startswith(LIST):
        return value.removeprefix(LIST)
    return _interval(value, path)


def _interval(value: Any, path: str) -> tuple[int, int]:
    return cidrs.interval(*_cidr(value, path))


def _cidr(value: Any, path: str) -> tuple[bytes, int]:
    text = text_of(value, path, 64)
    host, slash, prefix = text.partition("/")
    try:
        # Only what is an address and nothing else: no port, brackets or zone id.
        if host.strip(_HEXADECIMAL_AND_MORE) or host.count(":") == 1:
            raise AddressError
        address = packed(host.encode())
    except AddressError:
        refuse(path, f"{quote(text)} is not a block of IP addresses")
    bits = 8 * len(address)
    if bits == 32 and ":" in host:
        refuse(path, f"{quote(text)} is an IPv4-mapped address; write the block of IPv4 addresses")
    if not slash:
        return address, bits
    if not (prefix.isascii() and prefix.isdigit() and int(prefix) <= bits):
        refuse(path, f"{quote(text)} has a prefix length that is not a number from 0 to {bits}")
    length = int(prefix)
    if int.from_bytes(address, "big") & ((1 << bits - length) - 1):
        refuse(path, f"{quote(text)} has bits set behind the prefix of {length}")
    return address, length


def _parity(value: Any, path: str) -> Side:
    odd = one_of(value, path, ("EVEN", "ODD")) == "ODD"
    return Side([int(odd), odd + 1])


def _below(value: Any, path: str) -> Side:
    return Side([0, _percentage(value, path)])


def _percentage(value: Any, path: str) -> int:
    value = number_of(value, path)
    if not 0 < value <= 100:
        refuse(path, f"must be more than 0 and at most 100, not {describe(value)}")
    positions: int = round(value * POSITIONS / 100)
    if abs(positions * 100 / POSITIONS - value) > 1e-9:
        refuse(path, f"must be a multiple of 0.01, not {describe(value)}")
    return positions


def _ports(value: Any, path: str) -> tuple[int, int]:
    """Reads a port, or the first and the last of a range."""
    if isinstance(value, str) and "-" in value:
        first, _, last = value.partition("-")
        digits = first + last
        zeros = "0" in (first[:-1][:1], last[:-1][:1])  # some read 010 as eight
        if not (digits.isascii() and first.isdigit() and last.isdigit() and len(value) <= 11) or zeros:
            refuse(path, f'{quote(value)} is not a range of ports such as "8000-8999"')
        start, end = _port(int(first), path), _port(int(last), path)
        if start > end:
            refuse(path, f"{quote(value)} ends before it begins")
        return start, end + 1
    port = _port(value, path)
    return port, port + 1


def _port(value: Any, path: str) -> int:
    value = number_of(value, path)
    if value != value // 1:
        refuse(path, f"must be a whole number, not {describe(value)}")
    if not 1 <= value <= 65535:
        refuse(path, f"must be a port from 1 to 65535, not {describe(value)}")
    return int(value)


def _plain_ports(values: Sequence[Any]) -> Intervals | None:
    kinds = set(map(type, values))
    if str in kinds:
        if len(kinds) == 1:
            return _plain_ranges(values)
        ranges = _plain_ranges([value for value in values if type(value) is str])
        ports = _plain_ports([value for value in values if type(value) is not str])
        return ([*ranges[0], *ports[0]], [*ranges[1], *ports[1]]) if ranges and ports else None
    if kinds - {int, float} or not (min(values) >= 1 and max(values) <= 65535 and sum(values) > 0):
        return None
    numbers = list(map(int, values))
    return (numbers, list(map(_increased, numbers))) if numbers == values else None


def _plain_ranges(texts: Sequence[str]) -> Intervals | None:
    """Reads ranges, and ports that come as text."""
    joined = "\n" + "\n".join(texts)
    if not joined.isascii() or joined.encode().translate(None, b"0123456789-.\n") or max(map(len, texts)) > 11:
        return None
    if "\n0" in joined or "-0" in joined:  # some read 010 as eight
        return None
    ranges = [text for text in texts if "-" in text]
    if joined.count("-") != len(ranges) or joined.count("\n") != len(texts):
        return None
    try:
        numbers = list(map(int, "\n".join(ranges).replace("-", "\n").split("\n"))) if ranges else []
        starts, lasts = numbers[::2], numbers[1::2]
        if len(ranges) < len(texts):
            ports = list(map(float, [text for text in texts if "-" not in text]))
            whole = list(map(int, ports))
            if whole != ports:
                return None
            starts += whole
            lasts += whole
    except ValueError:
        return None
    if min(starts) < 1 or max(lasts) > 65535 or any(map(gt, starts, lasts)):
        return None
    return starts, list(map(_increased, lasts))


def _names(value: Any, path: str) -> tuple[str, str]:
    """Reads a server name or a wildcard: an interval of the names written backwards."""
    backwards = _server_name(value, path)[::-1]
    # "*.example.com" is whatever begins with "moc.elpmaxe.", and "/" is the character after ".".
    return (backwards[:-1], backwards[:-2] + "/") if backwards[-1] == "*" else (backwards, backwards + "\0")


def _server_name(value: Any, path: str) -> str:
    text = text_of(value, path, LONGEST + str(value).endswith("."))
    if not text.isascii():
        refuse(path, f"{quote(text)} is not ASCII; write an international name in its xn-- form")
    name = normal_form(text)
    # Without the wildcard: labels of letters, digits, "-" and "_".
    rest = name[2:] if name.startswith("*.") else name
    if rest.strip(_SERVER_NAME) or "*" in rest or not all(rest.split(".")) or text.endswith(".."):
        refuse(path, f'{quote(text)} is not a name such as "www.example.com" or "*.example.com"')
    return name


def _plain_names(values: Sequence[Any]) -> Intervals | None:
    try:
        lines = "\n" + "\n".join(values) + "\n"
    except TypeError:
        return None
    if not lines.isascii() or lines.count("\n") != len(values) + 1 or max(map(len, values)) > LONGEST:
        return None
    if ".." in lines:
        return None
    lines = lines.lower().replace(".\n", "\n")
    # No empty label, and a star only where it stands for what is before the first dot.
    if lines.encode().translate(None, _PLAIN) or "\n." in lines or "\n\n" in lines:
        return None
    if "*" in lines and lines.count("*") != lines.count("\n*."):
        return None
    # As `_names` does, all names at once, and the last one first.
    starts = lines[-2::-1]
    ends = starts.replace("\n", "\0\n")
    if "*" in lines:
        starts, ends = starts.replace("*\n", "\n"), ends.replace(".*\0", "/")
    return starts[:-1].split("\n"), ends[:-1].split("\n")


_CIDR_LIST = table({"cidrs": _side(_interval, cidrs.intervals), "packed": _packed})
MATCH = table(
    {
        "source_cidrs": _side(_block, cidrs.intervals),
        "source_parity": _parity,
        "source_percentage": _below,
        "destination_ports": _side(_ports, _plain_ports),
        "server_names": _side(_names, _plain_names),
        "source_ports": _side(_ports, _plain_ports),
        "destination_cidrs": _side(_block, cidrs.intervals),
    }
)
"""The readers of a match's fields."""
