"""Tells where text stops being JSON: the line, the column, what was expected there, and what there is instead.

This runs only after the scanner has refused the text. The scanner knows the place, and here is found what was expected there:
a walk begins with the item in which the place is, and goes down into the value that the scanner refuses. Beside JSON's own
grammar, a name that an object gives twice is a slip.

All that looks at a whole text are functions of C: a text may have a quarter of a million characters, and connections wait.
"""

from __future__ import annotations

import _json
import sys
from itertools import accumulate
from operator import indexOf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn

    Scan = Callable[[str, int], tuple[Any, int]]

SPACE = " \t\n\r"
_WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+."
_HINTS = {"'": "; JSON has double quotes only", "/": "; JSON has no comments", "#": "; JSON has no comments"}

_SPACE, _BRACKETS = SPACE.encode(), b"[]{}"
_ALL_BUT_SPACE, _ALL_BUT_BRACKETS, _ALL_BUT_DIGITS = (
    bytes(set(range(256)).difference(kinds)) for kinds in (_SPACE, _BRACKETS, b"0123456789")
)
_BLANKS = b" " * 256
_STEPS = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")  # one up or one down, as signed bytes
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_MOST_MEMBERS = 500
"""Of an object, that are looked at one by one."""


class SlipError(Exception):
    """The text is not JSON from this place on."""

    def __init__(self, place: int, reason: str) -> None:
        self.place = place
        self.reason = reason


def position(text: str, place: int) -> str:
    """Returns the line and the column of a character, both counted from 1."""
    return f"line {text.count(chr(10), 0, place) + 1}, column {place - text.rfind(chr(10), 0, place)}"


def skip_space(text: str, at: int = 0) -> int:
    """Returns the place of the first character that is no space."""
    size = 16
    while text[at : at + 1] in SPACE and at < len(text):
        piece = text[at : at + size].encode("ascii", "replace")
        if piece.translate(None, _SPACE):
            return at + _place_of(piece, _ALL_BUT_SPACE, 0)
        at += len(piece)
        size *= 2
    return at


def find(text: str) -> str:
    """Returns what keeps a text from being one JSON value, with its place; "" if nothing is found."""
    try:
        if text.startswith("\ufeff"):
            raise SlipError(0, "there is a byte order mark; save the text without it")
        _Walk(text).all()
    except SlipError as slip:
        return f"{position(text, slip.place)}: {slip.reason}"
    return ""


def find_depth(text: str, limit: int) -> str:
    """Returns the place of the first bracket that is nested deeper than a limit."""
    bare = _without_strings(text)
    return position(text, _place_of(bare, _BRACKETS, indexOf(_depths(bare), limit + 1)))


def is_deeper(bare: bytes, limit: int) -> bool:
    """Tells whether arrays and objects are nested deeper than a limit, in a text without its strings."""
    return limit + 1 in _depths(bare)


def _without_strings(text: str) -> bytes:
    """Returns the text as bytes, a byte for each character, and a space for each inside of a string.

    Behind a character NUL, which is in no JSON text, places are wrong.
    """
    bare = text.encode("ascii", "replace")
    if b"\\" in bare:
        bare = bare.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
    # Between quotes that no backslash escapes are strings: every second piece.
    pieces = bare.split(b'"')
    pieces[1::2] = [piece.translate(_BLANKS, b"\0") for piece in pieces[1::2]]
    return b'"'.join(pieces)


def _depths(bare: bytes) -> Iterator[int]:
    """Yields how deep arrays and objects are nested behind each bracket, of a text without its strings."""
    return accumulate(memoryview(bare.translate(_STEPS, _ALL_BUT_BRACKETS)).cast("b"))


def _place_of(bare: bytes, kinds: bytes, number: int) -> int:
    """Returns where the character of these kinds is that has so many before it; the end if there is none."""
    others = bytes(set(range(256)).difference(kinds))
    start, size = 0, len(bare)
    while size > 1:
        half = size // 2
        before = len(bare[start : start + half].translate(None, others))
        if number < before:
            size = half
        else:
            start, size, number = start + half, size - half, number - before
    return start


def _long_number(bare: bytes) -> int:
    """Returns where the first number begins that has too many digits."""
    half = sys.get_int_max_str_digits() // 2
    digits, whole = bare.translate(_ZEROS, b"\0"), b"0" * half
    # Of so many digits one half of as many begins where we look.
    at = next(at for at in range(0, len(digits), half) if digits[at : at + half] == whole)
    return len(digits[:at].rstrip(b"0"))


# ---- the place that the scanner knows


class _Decoder:
    """What the scanner takes for the module `json.decoder`, which nobody has to load for a refusal."""

    class JSONDecodeError(ValueError):
        """Knows the place; its arguments are the scanner's."""

        def __init__(self, message: str, text: str, place: int) -> None:
            self.place = place


def read(scan: Scan, text: str, at: int) -> tuple[Any, int]:
    """Returns the value at a place, and where it ends; raises SlipError where the scanner stops, or what a hook raises."""
    before = {name: sys.modules.get(name) for name in ("json", "json.decoder")}
    sys.modules.update({name: _Decoder for name, module in before.items() if module is None})  # type: ignore[misc]
    sys.modules["json.decoder"] = _Decoder  # type: ignore[assignment]
    try:
        return scan(text, at)
    except _Decoder.JSONDecodeError as error:
        raise SlipError(error.place, "") from None
    except StopIteration as stop:
        raise SlipError(stop.value, "") from None
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class _ConstantError(Exception):
    """NaN or an infinity."""


class _TwiceError(Exception):
    """An object has a name twice."""


class _Scanning:
    """How the scanner reads: it makes nothing of objects."""

    strict = True
    object_hook = None
    object_pairs_hook: Any = len
    parse_float = float
    parse_int = int

    def __init__(self) -> None:
        self.scan = _json.make_scanner(self)  # type: ignore[arg-type]  # typeshed wants what make_scanner returns

    def parse_constant(self, text: str) -> NoReturn:
        """Refuses what is no JSON."""
        raise _ConstantError


class _Counting(_Scanning):
    """How it reads to find an object that has a name twice."""

    def __init__(self) -> None:
        self.ended = 0
        self.pairs: list[tuple[str, Any]] = []
        super().__init__()

    def object_pairs_hook(self, pairs: list[tuple[str, Any]]) -> None:
        """Keeps count of the objects that end before."""
        if len(dict(pairs)) < len(pairs):
            self.pairs = pairs
            raise _TwiceError
        self.ended += 1


class _Walk:
    """Each method but `all` takes the place where something begins, and returns where it ends or raises SlipError."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.scan = _Scanning().scan

    def all(self) -> None:
        """Finds the slip."""
        text = self.text
        try:
            end = skip_space(text, read(self.scan, text, skip_space(text))[1])
        except SlipError as slip:
            return self.near(_without_strings(text), slip.place)
        except _ConstantError:
            bare = _without_strings(text)
            return self.near(bare, min(at for at in (bare.find(b"NaN"), bare.find(b"Infinity")) if at >= 0))
        except ValueError:
            bare = _without_strings(text)
            return self.near(bare, _long_number(bare))
        if end < len(text):
            raise SlipError(end, f"expected the end, not {_found(text, end)}")
        self.twice(_without_strings(text))

    def near(self, bare: bytes, place: int) -> None:
        """Looks at the item in which a place is: all before it is as it should be."""
        before = bare[:place]
        nested = [0, *_depths(before)]
        depth = nested.pop()
        if not nested or not depth:
            self.value(skip_space(self.text))
            return
        # The bracket before which it was less deep for the last time is still open.
        opened = len(nested) - 1 - nested[::-1].index(depth - 1)
        start, end = _place_of(bare, _BRACKETS, opened), place
        comma = before.rfind(b",", start)
        if comma < max(before.rfind(b"]", start), before.rfind(b"}", start)):
            # The item's own brackets have ended, and in them are other commas.
            own = len(nested) - 1 - nested[::-1].index(depth)
            end = _place_of(bare, _BRACKETS, own)
            comma = before.rfind(b",", start, end)
        (self.items if bare[start : start + 1] == b"[" else self.members)(start, comma)

    def twice(self, bare: bytes) -> None:
        """Looks for the first object to end that has a name twice."""
        counting = _Counting()
        try:
            counting.scan(self.text, skip_space(self.text))
        except _TwiceError:
            before = bare[: _place_of(bare, b"}", counting.ended)]
        else:
            return
        nested = [0, *_depths(before)]
        opened = len(nested) - 1 - nested[::-1].index(nested[-1] - 1)
        start = _place_of(bare, _BRACKETS, opened)
        if len(counting.pairs) <= _MOST_MEMBERS:
            self.members(start)
        names: set[str] = set()
        for name, _ in counting.pairs:
            if name in names:
                raise SlipError(start, f"{name[:80]!a} is given twice in the object that begins here")
            names.add(name)

    def value(self, at: int) -> int:
        try:
            return read(self.scan, self.text, at)[1]
        except SlipError as slip:
            stopped = slip.place
        except Exception:
            stopped = at
        first = self.text[at : at + 1]
        if first == "{":
            return self.members(at)
        if first == "[":
            return self.items(at)
        if first == '"':
            self.string(at, stopped)
        digits = self.text[at:].removeprefix("-").encode("ascii", "replace")
        size = _place_of(digits + b" ", _ALL_BUT_DIGITS, 0)
        if size:
            raise SlipError(at, f"the number has {size} digits, which is too many")
        self.expected(at, "a value")

    def items(self, start: int, comma: int = -1) -> int:
        """Takes the comma behind which to begin, too."""
        at = skip_space(self.text, start + 1) if comma < 0 else self.next(comma, "]", start)
        if self.text.startswith("]", at):
            return at + 1
        while True:
            at = skip_space(self.text, self.value(at))
            if self.text.startswith("]", at):
                return at + 1
            at = self.next(at, "]", start)

    def members(self, start: int, comma: int = -1) -> int:
        """Takes the comma behind which to begin, too."""
        at = skip_space(self.text, start + 1) if comma < 0 else self.next(comma, "}", start)
        if self.text.startswith("}", at):
            return at + 1
        seen: dict[str, int] = {}
        while True:
            if not self.text.startswith('"', at):
                self.expected(at, "a name in double quotes", start)
            end = self.value(at)
            name = self.scan(self.text, at)[0]
            if seen.setdefault(name, at) != at:
                raise SlipError(at, f"{name[:80]!a} is given twice, first at {position(self.text, seen[name])}")
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
            raise SlipError(at, f'the "," before "{close}" is one too many')
        return following

    def string(self, start: int, stopped: int) -> NoReturn:
        """Takes the place where the scanner stops: the string's own, a control character, an escape, or what escapes."""
        text = self.text
        if stopped == start:
            raise SlipError(start, "the string that begins here does not end")
        if text[stopped] < " ":
            raise SlipError(stopped, f"a string holds the control character {text[stopped]!a}; write its escape")
        at = stopped if text[stopped] == "\\" else stopped - 1
        raise SlipError(at, f"{text[at : at + (6 if text[at + 1] == 'u' else 2)]!a} is no escape of JSON")

    def expected(self, at: int, what: str, opened: int | None = None) -> NoReturn:
        reason = f"expected {what}, not {_found(self.text, at)}{_HINTS.get(self.text[at : at + 1], '')}"
        if at >= len(self.text) and opened is not None:
            reason += f'; the "{self.text[opened]}" at {position(self.text, opened)} is not closed'
        raise SlipError(at, reason)


def _found(text: str, at: int) -> str:
    """Returns what there is at a place: a word, a character, or the end."""
    if at >= len(text):
        return "the end"
    rest = text[at : at + 20]
    return ascii(rest[: len(rest) - len(rest.lstrip(_WORD))] or rest[0])
