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

    def as_text(self) -> str:
        """Returns it for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.head, *self.rows, strict=True)]
        lines = ["", self.title, self.note]
        for row in [self.head, *self.rows]:
            cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
        return "\n".join(lines)


def bounds(given: Sequence[float], digits: int = 1) -> str:
    """Returns [value, low, high] as text."""
    return f"{given[0]:,.{digits}f} [{given[1]:,.{digits}f}, {given[2]:,.{digits}f}]"
