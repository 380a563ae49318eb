"""Readers of JSON values: each returns what it reads, or refuses it by its path: `rules[2].match.source_cidrs[0]`."""

from __future__ import annotations

from filter.values import Object, read_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    Reader = Callable[[Any, str], Any]
    Table = dict[str, tuple[str, Reader]]


class ConfigurationError(ValueError):
    """The plugin's configuration is invalid. The text names the field and the reason, in one line."""


def refuse(path: str, reason: str) -> NoReturn:
    """Raises ConfigurationError for the value at a path."""
    raise ConfigurationError(f"{path}: {reason}")


def table(readers: dict[str, Reader]) -> Table:
    """Returns the reader of each field, by the field's name and by the lowerCamelCase form of it."""
    table = {name: (name, read) for name, read in readers.items()}
    for name, read in readers.items():
        first, *others = name.split("_")
        table[first + "".join([word.capitalize() for word in others])] = name, read
    return table


def read_fields(value: Any, path: str, table: Table) -> dict[str, Any]:
    """Reads an object, in which each field may be there once."""
    if not isinstance(value, Object):
        refuse(path, f"must be an object, not {describe(value)}")
    fields: dict[str, Any] = {}
    for given, item in value:
        found = table.get(given)
        name, read = found or (given[:80] or "''", None)
        inner = f"{path}.{name}" if path else name
        if read is None:
            names = dict.fromkeys([name for name, _ in table.values()])
            refuse(ascii(inner)[1:-1], f"unknown field; there are {', '.join(names)}")
        if name in fields:
            refuse(inner, "given twice")
        fields[name] = read(item, inner)
    return fields


def list_reader(read: Reader) -> Reader:
    """Returns a reader of lists."""

    def read_list(value: Any, path: str) -> Sequence[Any]:
        check_list(value, path)
        return [read(item, f"{path}[{place}]") for place, item in enumerate(value)]

    return read_list


def check_list(value: Any, path: str) -> None:
    """Refuses what is not a list, and an empty one: a match that is half written must not match everything."""
    if not isinstance(value, list):
        refuse(path, f"must be a list, not {describe(value)}")
    if not value:
        refuse(path, "must not be empty; leave it out")


def one_of(value: Any, path: str, names: tuple[str, ...]) -> str:
    """Reads one of these texts."""
    if not isinstance(value, str) or value not in names:
        given = quote(value) if isinstance(value, str) else describe(value)
        refuse(path, f"must be {' or '.join(names)}, not {given}")
    return value


def text_of(value: Any, path: str, longest: int) -> str:
    """Reads a text that is printable and neither empty nor too long."""
    if not isinstance(value, str):
        refuse(path, f"must be a string, not {describe(value)}")
    if not value:
        refuse(path, "must not be empty")
    if len(value) > longest:
        refuse(path, f"has {len(value)} characters; at most {longest} are read")
    if not value.isprintable():
        refuse(path, f"{quote(value)} has a character that cannot be printed")
    return value


def number_of(value: Any, path: str) -> int | float:
    """Reads a number, or a text that is written as one."""
    # Envoy's reader of YAML hands 12.5 over as text; protobuf's JSON mapping takes text for numbers too.
    number: Any = read_number(value) if isinstance(value, str) else value
    if not _is_number(number):
        refuse(path, f"must be a number, not {quote(value) if isinstance(value, str) else describe(value)}")
    read: int | float = number
    return read


def _is_number(value: Any) -> bool:
    # Infinity and NaN are no JSON, but 1e999 is, and becomes an infinity.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def describe(value: Any) -> str:
    """Returns what a value is, as a refusal says it."""
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


def quote(text: str | bytes) -> str:
    """Returns a text between quotes, short enough for a log line, whatever is in it."""
    return ascii(text[:80]).removeprefix("b")
