"""Reads what a rule looks at, field by field, and the lists of blocks.

Of each kind of values there are two readers. One takes a value and refuses what is wrong. The other takes many values at a time, by
functions of C, and only what is written in the usual way: see `sides.py`.
"""

from __future__ import annotations

from itertools import compress, repeat
from operator import add, gt

from filter import cidrs
from filter.address import AddressError, packed
from filter.cidrs import PackedCidrs
from filter.index import Side
from filter.intervals import merged
from filter.policy import CONTINUE, FIELDS, POSITIONS, Policy, Rule
from filter.readers import describe, number_of, one_of, quote, read_fields, refuse, table, text_of
from filter.server_names import LONGEST, normal_form
from filter.sides import read_sides, written, written_with_names
from filter.values import Object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from filter.index import Boundaries
    from filter.intervals import Intervals
    from filter.policy import Match
    from filter.readers import Reader
    from filter.sides import ReadMany

MAX_LISTS = 16
MAX_LIST_NAME = 128
MAX_SINGLE_ADDRESSES = 1000  # of a rule, of which it is known whether one has the parity and the percentage
MAX_VALUES_OF_SEVERAL = 4_000  # of one field, if several rules have it

_SERVER_NAME = "abcdefghijklmnopqrstuvwxyz0123456789-_."
_HEXADECIMAL_AND_MORE = "0123456789abcdefABCDEF.:"
_PLAIN = (_SERVER_NAME + "*\n").encode()  # of server names, a line each


def match_of(value: Any, path: str) -> Match:
    """Reads which connections a rule is about; its lists are kept as they are, for `settle`."""
    match: Match = read_fields(value, path, MATCH)
    return match


def settle(matches: Sequence[dict[str, Any]], lists: dict[str, Boundaries | PackedCidrs]) -> None:
    """Reads the lists of all rules, a field at a time, and refuses what is wrong in them; `lists` are those that have names."""
    for name, (read, read_many) in _LISTS.items():
        having = [match for match in matches if name in match]
        sides = read_sides([match[name] for match in having], read, read_many)
        for match, side in zip(having, sides, strict=True):
            match[name] = side
    for place, match in enumerate(matches):
        _check_single_addresses(match, f"rules[{place}].match")
    _resolve(matches, lists)
    for name in FIELDS:
        _check_size(name, [match[name] for match in matches if name in match])


def _check_single_addresses(match: Match, path: str) -> None:
    addresses = match.get("source_cidrs")
    others: Match = {name: match[name] for name in ("source_parity", "source_percentage") if name in match}
    if others and addresses and not addresses.lists and len(addresses.boundaries) <= 2 * MAX_SINGLE_ADDRESSES:
        starts, ends = addresses.boundaries[::2], addresses.boundaries[1::2]
        if _behind(starts) == ends:
            # Of a single address the parity and the position are known, here and not only when it connects.
            alone = Policy([(others, Rule(CONTINUE))])
            if all(alone.decide(cidrs.address(start)) is alone.default for start in starts):
                refuse(path, "matches nothing: none of these addresses has this parity and percentage")


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
        lists[name] = given["packed"] if "packed" in given else given["cidrs"]
    return lists


def _resolve(matches: Sequence[Match], lists: dict[str, Boundaries | PackedCidrs]) -> None:
    for match in matches:
        for side in match.values():
            if side.lists:
                for name, path in side.lists:
                    if name not in lists:
                        there = f"; there are {', '.join(map(quote, lists))}"[:500] if lists else ""
                        refuse(path, f"{quote(name)} is not in cidr_lists{there}")
                side.lists = [lists[name] for name, _ in side.lists]


def _check_size(name: str, sides: Sequence[Side]) -> None:
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


def _behind(lasts: Sequence[int]) -> list[int]:
    return list(map(add, lasts, repeat(1)))


def _plain_ports(values: Sequence[Any]) -> Intervals | None:
    kinds = set(map(type, values))
    if str in kinds:
        if len(kinds) == 1:
            return _plain_ranges(values)
        texts = [type(value) is str for value in values]
        ports = _plain_ports([value for value in values if type(value) is not str])
        ranges = _plain_ranges(list(compress(values, texts)))
        return merged(texts, ports, ranges) if ports and ranges else None
    if kinds - {int, float} or not (min(values) >= 1 and max(values) <= 65535 and sum(values) > 0):
        return None
    numbers = list(map(int, values))
    return (numbers, _behind(numbers)) if numbers == values else None


def _plain_ranges(texts: Sequence[str]) -> Intervals | None:
    """Reads ranges, and ports that come as text."""
    joined = "\n" + "\n".join(texts)
    if not joined.isascii() or joined.encode().translate(None, b"0123456789-+.eE\n") or max(map(len, texts)) > 11:
        return None
    if "\n0" in joined or "-0" in joined or "+0" in joined:  # some read 010 as eight
        return None
    if joined.count("\n") != len(texts):
        return None
    try:
        if "-" not in joined:
            ports = list(map(float, texts))
            lasts = starts = list(map(int, ports))
            if starts != ports:
                return None
        else:
            ranges = ["-" in text for text in texts]
            if not all(ranges):
                alone = _plain_ranges([text for text in texts if "-" not in text])
                others = _plain_ranges(list(compress(texts, ranges)))
                return merged(ranges, alone, others) if alone and others else None
            if joined.count("-") != len(texts) or "+" in joined:
                return None
            numbers = list(map(int, joined[1:].replace("-", "\n").split("\n")))
            starts, lasts = numbers[::2], numbers[1::2]
    except ValueError:
        return None
    if min(starts) < 1 or max(lasts) > 65535 or any(map(gt, starts, lasts)):
        return None
    return starts, _behind(lasts)


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
    longest = max(map(len, values))
    if not lines.isascii() or lines.count("\n") != len(values) + 1 or longest > LONGEST + 1:
        return None
    if ".." in lines:
        return None
    lines = lines.lower().replace(".\n", "\n")
    if longest > LONGEST and max(map(len, lines.split("\n"))) > LONGEST:
        return None
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
    return starts[:-1].split("\n")[::-1], ends[:-1].split("\n")[::-1]


def _blocks(value: Any, path: str) -> Boundaries:
    [side] = read_sides([written(value, path)], _interval, cidrs.intervals)
    return side.boundaries


_CIDR_LIST = table({"cidrs": _blocks, "packed": _packed})
_LISTS: dict[str, tuple[Reader, ReadMany]] = {
    "source_cidrs": (_interval, cidrs.intervals),
    "destination_ports": (_ports, _plain_ports),
    "server_names": (_names, _plain_names),
    "source_ports": (_ports, _plain_ports),
    "destination_cidrs": (_interval, cidrs.intervals),
}
_NAMING = ("source_cidrs", "destination_cidrs")  # the names of shared lists too
_SINGLE: dict[str, Reader] = {"source_parity": _parity, "source_percentage": _below}  # of what is no list
_READERS = dict.fromkeys(_LISTS, written) | dict.fromkeys(_NAMING, written_with_names) | _SINGLE
MATCH = table({name: _READERS[name] for name in FIELDS})
"""The readers of a match's fields, in the schema's order: a refusal lists them."""
