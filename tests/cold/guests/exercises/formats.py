"""What data is written as: documents, patterns, digests, dates, decimals, encodings, pickles."""

import collections
import datetime
import decimal
import encodings.ascii
import encodings.latin_1
import encodings.utf_16
import encodings.utf_32_be  # noqa: F401, a filter has the encodings that it imports
import hashlib
import json
import pickle
import re
import unicodedata
import zlib

from tests.cold.guests.exercises.exercise import digest, exercise


@exercise
def json_both_ways() -> object:
    """Nested documents, escapes, numbers, and errors with their places."""
    document = {
        "a": [1, -2.5e-7, 1e400, None, True, "\u00e9\U0001f600\n\x00"],
        "b": {"c": {}, "d": [[], [[]]]},
        "": 10**30,
    }
    text = json.dumps(document, sort_keys=True, indent=2)
    compact = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    errors = []
    for bad in ("", "[1,", '{"a" 1}', "[1]]", '"\\x"', "nul", '{"a":1,}', "[\x01]"):
        try:
            json.loads(bad)
        except json.JSONDecodeError as error:
            errors.append(str(error))
    return json.loads(text) == json.loads(compact) == document, digest(text), digest(compact), errors


@exercise
def regular_expressions() -> object:
    """Groups, lookarounds, backtracking, substitution, Unicode classes."""
    text = "2024-02-29T12:34:56Z ab12 \u00e4\u00f6\u00fc  foo.bar@example.com aaaaaaaaaaaab"
    return [
        re.findall(r"(\d+)-(\d\d)", text),
        re.sub(r"(?P<x>\w)(\w)", r"\2\g<x>", text),
        re.split(r"[\s.@]+", text),
        re.search(r"(?<=T)(\d\d):(?!99)(\d\d)", text).span(2),  # type: ignore[union-attr]
        re.match(r"(a+)+$", "a" * 12 + "b"),
        re.fullmatch(r"(?:(a)|b)*?c", "ababc").groups(),  # type: ignore[union-attr]
        re.findall(r"(?i)\b[\u00c4-\u00dc]+\b", text),
        [m.group() for m in re.finditer(r"(?x) [a-z]{2,} (?= \d | @ )", text)],
    ]


@exercise
def hashes() -> object:
    """The digests that the module has, over lengths around their blocks."""
    data = bytes(range(256)) * 4
    names = ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s")
    lengths = (0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1000)
    joined = {name: "".join(hashlib.new(name, data[:n]).hexdigest() for n in lengths) for name in names}
    return {name: text[-16:] + digest(text) for name, text in joined.items()}, zlib.crc32(data), zlib.adler32(data)


@exercise
def dates() -> object:
    """Arithmetic, ISO forms, zones and formats."""
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=45), "NPT")
    start = datetime.datetime(2024, 2, 29, 23, 59, 59, 999_999, zone)
    days = [start + datetime.timedelta(days=days, microseconds=days * 7) for days in (-100_000, -1, 0, 1, 366, 500_000)]
    return [
        [day.isoformat() for day in days],
        [day.strftime("%a %d %b %Y %H:%M:%S %z %j %U") for day in days],
        [str(day.isocalendar()) for day in days],
        str(days[-1] - days[0]),
        start.astimezone(datetime.UTC).timestamp(),
        datetime.datetime.fromisoformat("2011-11-04T00:05:23.283+00:00"),
    ]


@exercise
def decimals() -> object:
    """Contexts, roundings, functions and traps."""
    with decimal.localcontext() as context:
        context.prec = 60
        values = [decimal.Decimal(2).sqrt(), decimal.Decimal(1).exp(), decimal.Decimal(10).ln(), decimal.Decimal(1) / 7]
        values += [decimal.Decimal("1e-999") * decimal.Decimal("1e-10"), decimal.Decimal(3) ** 200]
        roundings = [
            str(decimal.Decimal(number).quantize(decimal.Decimal("0.1"), rounding))
            for number in ("-2.55", "2.45", "2.5500001")
            for rounding in (decimal.ROUND_HALF_EVEN, decimal.ROUND_UP, decimal.ROUND_FLOOR, decimal.ROUND_05UP)
        ]
        try:
            decimal.Decimal(1) / 0
        except decimal.DivisionByZero as error:
            return [str(value) for value in values], roundings, repr(error)
    return None


@exercise
def unicode_data() -> object:
    """Names, categories, normal forms and case, over a part of all characters."""
    characters = [chr(code) for code in range(0, 0x20000, 37)]
    names = [unicodedata.name(character, "") + unicodedata.category(character) for character in characters]
    text = "".join(character for character in characters if not "\ud800" <= character <= "\udfff")
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    cases = [text.upper(), text.lower(), text.casefold(), text.title()]
    encoded = [text.encode(name, "replace") for name in ("utf-8", "utf-16", "utf-32-be", "latin-1", "ascii")]
    return digest(names), [digest(form) for form in forms], [digest(case) for case in cases], digest(encoded)


class Point:
    """Something to pickle."""

    def __init__(self, x: object, y: object) -> None:
        self.x, self.y = x, y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and (self.x, self.y) == (other.x, other.y)

    __hash__ = None  # type: ignore[assignment]


@exercise
def pickles() -> object:
    """Every protocol, shared and recursive objects."""
    shared = [1, 2.5, 10**40, "\u20ac", b"\0\xff", None, (True, frozenset({3})), {"k": 1j}]
    value = [shared, shared, Point(shared, {"deep": [Point(1, 2)]}), collections.OrderedDict(a=1), datetime.date.min]
    out = []
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        data = pickle.dumps(value, protocol)
        back = pickle.loads(data)
        out.append((len(data), back == value, back[0] is back[1]))
    loop: list[object] = []
    loop.append(loop)
    again = pickle.loads(pickle.dumps(loop))
    return out, again[0] is again
