"""A dataclass as the plugin's configuration: `from proxy_wasm.configuration import read`.

`read(Settings, configuration)` makes one of JSON, or of a Struct of Envoy's. What does not fit is refused with a sentence that names the
field.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import types
import typing

from proxy_wasm._struct_values import read_struct

Model = typing.TypeVar("Model")

_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
_SHOWN = 60


class ConfigurationError(ValueError):
    """A configuration is refused; its text says where and why."""


def read(model: type[Model], configuration: bytes) -> Model:
    """Returns the dataclass that a configuration describes; one without any bytes describes the defaults.

    Fields may be text, numbers, bools, lists, dicts with text as keys, other dataclasses, enums by their values, `Literal`s, and `None`.
    ConfigurationError: it is no JSON and no Struct, a field is missing or unknown, a value has another type, or `__post_init__` raised
    ValueError.
    """
    made: Model = _read(model, _parsed(configuration), "")
    return made


def _parsed(configuration: bytes) -> typing.Any:
    try:
        return read_struct(configuration)
    except (ValueError, IndexError, RecursionError):
        pass  # it is text
    try:
        return json.loads(configuration.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ConfigurationError("not JSON: too deep") from None


def _object(pairs: list[tuple[str, typing.Any]]) -> dict[str, typing.Any]:
    made: dict[str, typing.Any] = {}
    for name, value in pairs:
        if name in made:
            raise ConfigurationError(f"{name}: given twice")
        made[name] = value
    return made


def _read(kind: typing.Any, value: typing.Any, where: str) -> typing.Any:
    if type(value) is float and value - value != 0:  # NaN or an infinity, which Python's reader of JSON takes
        raise _refusal(where, "a finite number", value)
    if kind is typing.Any or kind is object:
        if isinstance(value, list):
            return [_read(kind, item, f"{where}[{place}]") for place, item in enumerate(value)]
        return (
            {name: _read(kind, item, _member(where, name)) for name, item in value.items()}
            if isinstance(value, dict)
            else value
        )
    if dataclasses.is_dataclass(kind):
        return _model(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _one_of(arguments, value, where)
    if origin is typing.Literal:
        if any(value == allowed and type(value) is type(allowed) for allowed in arguments):
            return value
        raise _refusal(where, f"one of {', '.join(map(repr, arguments))}", value)
    if origin in (list, tuple) and isinstance(value, list):
        made = [_read(arguments[0], item, f"{where}[{place}]") for place, item in enumerate(value)]
        return made if origin is list else tuple(made)
    if origin is dict and isinstance(value, dict):
        return {name: _read(arguments[1], item, _member(where, name)) for name, item in value.items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        found = [member for member in kind if member.value == value and type(member.value) is type(value)]
        if found:
            return found[0]
        raise _refusal(where, f"one of {', '.join(repr(member.value) for member in kind)}", value)
    # A bool is an int in Python, and a whole number is a number.
    if type(value) is kind or (kind is float and type(value) is int):
        return float(value) if kind is float else value
    expected = {list: "a list", tuple: "a list", dict: "an object"}.get(origin or kind) or _NAMES.get(kind)
    if expected is None:
        raise TypeError(f"{where}: {kind!r} is no type of a configuration")
    raise _refusal(where, expected, value)


def _model(kind: typing.Any, value: typing.Any, where: str) -> typing.Any:
    if not isinstance(value, dict):
        raise _refusal(where, "an object", value)
    types_of = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    for name in value:
        if name not in fields:
            raise ConfigurationError(
                f"{_member(where, name)}: unknown field; there are {', '.join(fields) or 'no fields'}"
            )
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in value:
            raise ConfigurationError(f"{_member(where, name)}: missing")
    given = {name: _read(types_of[name], item, _member(where, name)) for name, item in value.items()}
    try:
        return kind(**given)
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}" if where else str(error)) from error


def _one_of(kinds: tuple[typing.Any, ...], value: typing.Any, where: str) -> typing.Any:
    if value is None and type(None) in kinds:
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    for kind in others[:-1]:
        try:
            return _read(kind, value, where)
        except ConfigurationError:
            continue
    return _read(others[-1], value, where)


def _member(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _refusal(where: str, expected: str, value: object) -> ConfigurationError:
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    return ConfigurationError(f"{where or 'the configuration'}: expected {expected}, found {shown}")
