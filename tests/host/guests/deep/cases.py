"""The cases of recursion.py: each file adds its own. A case ends with the error that it names, or with none."""

import functools
from collections.abc import Callable
from typing import Any

DEPTH = 100_000
LONG = 20_000  # sources: text is dearer than objects
SHALLOW = 300

Case = Callable[[], object]
Wrap = Callable[[Any], Any]
cases: list[tuple[str, type[BaseException] | None, Case]] = []


def each(outcome: type[BaseException] | None, table: dict[str, Case]) -> None:
    """Adds cases by name."""
    cases.extend((name, outcome, case) for name, case in table.items())


def by_kind(kinds: dict[str, Wrap], what: str, use: Callable[[Wrap], object]) -> dict[str, Case]:
    """Returns a case for each kind of a thing that holds another."""
    return {f"{what} {kind}": functools.partial(use, wrap) for kind, wrap in kinds.items()}
