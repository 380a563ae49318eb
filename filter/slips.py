"""Tells where text stops being JSON: the line, the column, what was expected there, and what there is instead.

This runs only after the scanner has refused the text. It goes down into the value that the scanner refuses, and lets the
scanner skip the values before it. Beside JSON's own grammar, a name that an object gives twice is a slip.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Scan = Callable[[str, int], tuple[Any, int]]

SPACE = " \t\n\r"
_WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+."
_HEXADECIMAL = "0123456789abcdefABCDEF"
_HINTS = {"'": "; JSON has double quotes only", "/": "; JSON has no comments", "#": "; JSON has no comments"}


class _SlipError(Exception):
    """The text is not JSON from this place on."""

    def __init__(self, place: int, reason: str) -> None:
        self.place = place
        self.reason = reason


def position(text: str, place: int) -> str:
    """Returns the line and the column of a character, both counted from 1."""
    return f"line {text.count(chr(10), 0, place) + 1}, column {place - text.rfind(chr(10), 0, place)}"


def skip_space(text: str, at: int = 0) -> int:
    """Returns the place of the first character that is no space."""
    while text[at : at + 1] in SPACE and at < len(text):
        at += 1
    return at


def find(text: str, scan: Scan) -> str:
    """Returns what keeps a text from being one JSON value, with its place; "" if nothing is found.

    `scan` returns the value that begins at a place, and where it ends. It raises whatever it likes.
    """
    try:
        if text.startswith("\ufeff"):
            raise _SlipError(0, "there is a byte order mark; save the text without it")
        end = skip_space(text, _Walk(text, scan).value(skip_space(text)))
        if end < len(text):
            raise _SlipError(end, f"expected the end, not {_found(text, end)}")
    except _SlipError as slip:
        return f"{position(text, slip.place)}: {slip.reason}"
    return ""


def find_depth(text: str, limit: int) -> str:
    """Returns the place of the first bracket that is nested deeper than a limit."""
    at = depth = 0
    # Between quotes that no backslash escapes are strings: every second piece.
    for number, piece in enumerate(text.replace("\\\\", "..").replace('\\"', "..").split('"')):
        for offset, character in enumerate("" if number % 2 else piece):
            depth += (character in "[{") - (character in "]}")
            if depth > limit:
                return position(text, at + offset)
        at += len(piece) + 1
    return position(text, len(text))


class _Walk:
    """Each method takes the place where something begins, and returns where it ends or raises _SlipError."""

    def __init__(self, text: str, scan: Scan) -> None:
        self.text = text
        self.scan = scan

    def value(self, at: int) -> int:
        try:
            return self.scan(self.text, at)[1]
        except Exception:
            first = self.text[at : at + 1]
        if first == "{":
            return self.members(at)
        if first == "[":
            return self.items(at)
        if first == '"':
            return self.string(at)
        digits = self.text[at:].removeprefix("-")
        size = len(digits) - len(digits.lstrip("0123456789"))
        if size:
            raise _SlipError(at, f"the number has {size} digits, which is too many")
        self.expected(at, "a value")

    def items(self, start: int) -> int:
        at = skip_space(self.text, start + 1)
        if self.text.startswith("]", at):
            return at + 1
        while True:
            at = skip_space(self.text, self.value(at))
            if self.text.startswith("]", at):
                return at + 1
            at = self.next(at, "]", start)

    def members(self, start: int) -> int:
        at = skip_space(self.text, start + 1)
        if self.text.startswith("}", at):
            return at + 1
        seen: dict[str, int] = {}
        while True:
            if not self.text.startswith('"', at):
                self.expected(at, "a name in double quotes", start)
            end = self.value(at)
            name = self.scan(self.text, at)[0]
            if seen.setdefault(name, at) != at:
                raise _SlipError(at, f"{name[:80]!a} is given twice, first at {position(self.text, seen[name])}")
            at = skip_space(self.text, end)
            if not self.text.startswith(":", at):
                self.expected(at, '":"', start)
            at = skip_space(self.text, self.value(skip_space(self.text, at + 1)))
            if self.text.startswith("}", at):
                return at + 1
            at = self.next(at, "}", start)

    def next(self, at: int, close: str, start: int) -> int:
        """Returns where the next item begins, behind the comma at this place."""
        if not self.text.startswith(",", at):
            self.expected(at, f'"," or "{close}"', start)
        following = skip_space(self.text, at + 1)
        if self.text.startswith(close, following):
            raise _SlipError(at, f'the "," before "{close}" is one too many')
        return following

    def string(self, start: int) -> int:
        text, at = self.text, start + 1
        while at < len(text) and text[at] != '"':
            if text[at] < " ":
                raise _SlipError(at, f"a string holds the control character {text[at]!a}; write its escape")
            size = 1
            if text[at] == "\\" and text[at + 1 : at + 2]:
                size = 6 if text[at + 1] == "u" else 2
                digits = text[at + 2 : at + size]
                if text[at + 1] not in '"\\/bfnrtu' or len(digits) != size - 2 or digits.strip(_HEXADECIMAL):
                    raise _SlipError(at, f"{text[at : at + size]!a} is no escape of JSON")
            at += size
        if at >= len(text):
            raise _SlipError(start, "the string that begins here does not end")
        return at + 1

    def expected(self, at: int, what: str, opened: int | None = None) -> NoReturn:
        reason = f"expected {what}, not {_found(self.text, at)}{_HINTS.get(self.text[at : at + 1], '')}"
        if at >= len(self.text) and opened is not None:
            reason += f'; the "{self.text[opened]}" at {position(self.text, opened)} is not closed'
        raise _SlipError(at, reason)


def _found(text: str, at: int) -> str:
    """Returns what there is at a place: a word, a character, or the end."""
    if at >= len(text):
        return "the end"
    rest = text[at : at + 20]
    return ascii(rest[: len(rest) - len(rest.lstrip(_WORD))] or rest[0])
