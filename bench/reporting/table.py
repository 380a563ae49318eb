"""A table of the report, before it is Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class Table:
    """A table of the report: a title, what a reader has to know, and rows of text; the first column names the row."""

    title: str
    note: str
    head: list[str]
    rows: list[list[str]]
    text: bool = False
    """Whether there are words in its cells, and not numbers."""


def bounds(given: Sequence[float], digits: int = 1) -> str:
    """Returns [value, low, high] as text."""
    return f"{given[0]:,.{digits}f} [{given[1]:,.{digits}f}, {given[2]:,.{digits}f}]"
