"""Command lines from dataclasses: an option for each field, so that a recipe's inputs are written down once."""

from __future__ import annotations

import argparse
import dataclasses
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

_Options = TypeVar("_Options")


def add_options(parser: argparse.ArgumentParser, options: type[Any]) -> None:
    """Adds an option for each field of a dataclass, which is annotated with a type and the text that `--help` shows.

    The type is `str` or `Path`, or one of them or None, or a tuple for an option that is repeated.
    """
    kinds = typing.get_type_hints(options, include_extras=True)
    for field in dataclasses.fields(options):
        kind, text = typing.get_args(kinds[field.name])
        required = field.default is dataclasses.MISSING
        repeated = typing.get_origin(kind) is tuple
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            action="append" if repeated else "store",
            type=Path if Path in (kind, *typing.get_args(kind)) else str,
            required=required,
            default=None if required or repeated else field.default,
            help=text,
        )


def add_steps(parser: argparse.ArgumentParser, steps: Sequence[str], usual: Sequence[str]) -> None:
    """Adds the options that all recipes have: which steps to take, and whether to say so."""
    parser.add_argument(
        "--step",
        action="append",
        choices=steps,
        help=f"take this step only; repeatable; usually {' and '.join(usual)}, one after the other",
    )
    parser.add_argument("--quiet", action="store_true", help="do not say what is being done")


def taken(options: type[_Options], namespace: argparse.Namespace) -> _Options:
    """Returns the dataclass that a command line gives."""
    kinds = typing.get_type_hints(options, include_extras=True)
    values = {field.name: getattr(namespace, field.name) for field in dataclasses.fields(options)}  # type: ignore[arg-type]
    repeated = {name for name in values if typing.get_origin(typing.get_args(kinds[name])[0]) is tuple}
    return options(**{name: tuple(value or ()) if name in repeated else value for name, value in values.items()})
