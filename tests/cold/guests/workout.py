"""A filter that puts CPython through its paces: at a configuration it logs a line for each exercise, with what came out."""

import bisect
import collections
import datetime
import decimal
import encodings.ascii
import encodings.latin_1
import encodings.unicode_escape
import encodings.utf_16
import encodings.utf_32_be  # noqa: F401, a filter has the encodings that it imports
import fractions
import functools
import gc
import hashlib
import heapq
import itertools
import json
import math
import operator
import os
import pickle
import random
import re
import statistics
import string
import struct
import textwrap
import traceback
import unicodedata
import weakref
import zlib
from collections.abc import Callable, Iterator

import proxy_wasm

exercises: dict[str, Callable[[], object]] = {}


def exercise(function: Callable[[], object]) -> Callable[[], object]:
    """Adds an exercise, by its function's name."""
    exercises[function.__name__] = function
    return function


def digest(data: object) -> str:
    """Returns a few characters that stand for all of it."""
    return hashlib.sha256(repr(data).encode("utf-8", "surrogatepass")).hexdigest()[:16]


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


@exercise
def generators() -> object:
    """Sending, throwing, delegating, closing; a coroutine by hand."""
    log: list[object] = []

    def inner() -> Iterator[object]:
        try:
            got = yield 1
            log.append(got)
            yield 2
        except ValueError as error:
            log.append(str(error))
            yield 3
        finally:
            log.append("closed")

    def outer() -> Iterator[object]:
        log.append((yield from inner()))  # type: ignore[func-returns-value]
        yield "last"

    one, two = outer(), outer()
    log += [next(one), one.send("hello"), next(one)]  # type: ignore[attr-defined]
    log += [next(two), two.throw(ValueError("thrown"))]  # type: ignore[attr-defined]
    two.close()  # type: ignore[attr-defined]

    async def coroutine(number: int) -> int:
        return number + (await coroutine(number - 1) if number else 0)

    try:
        coroutine(50).send(None)
    except StopIteration as stop:
        log.append(stop.value)
    return log


@exercise
def exceptions() -> object:
    """Causes, contexts, groups, notes and the traceback's text."""
    out: list[str] = []
    try:
        try:
            os.environ["MISSING"]
        except KeyError as error:
            error.add_note("a note")
            raise RuntimeError("outer") from error
    except RuntimeError as error:
        out.append(traceback.format_exc())
        out.append(repr(error.__cause__))
    try:
        raise ExceptionGroup("group", [ValueError(1), ExceptionGroup("nested", [TypeError("t"), OSError(2, "no")])])
    except* TypeError as group:
        out.append(repr(group.exceptions))
    except* (ValueError, OSError):
        out.append(traceback.format_exc())
    for attempt in ("1/0", "[][1]", "None.x", "int('x')", "'a'+1", "undefined", "(lambda: 1)(2)", "b'\\xff'.decode()"):
        try:
            eval(attempt)
        except Exception as error:
            out.append(f"{type(error).__name__}: {error}")
    return out


@exercise
def recursion() -> object:
    """Down to a RecursionError, in Python and in C, twice."""

    def down(n: int) -> int:
        return down(n + 1)

    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    attempts: list[Callable[[], object]] = [
        lambda: down(0),
        lambda: repr(nested),
        lambda: json.dumps(nested),
        lambda: json.loads("[" * 99_999),
    ]
    out = []
    for attempt in attempts * 2:
        try:
            attempt()
        except RecursionError as error:
            out.append(str(error)[:14])  # how much was used is the machine's affair
    return out


@exercise
def compiled_source() -> object:
    """Source of most statements, compiled, run and disassembled to its code's names; syntax errors with their places."""
    source = textwrap.dedent("""
        import operator
        class Meta(type):
            def __new__(cls, name, bases, space, **words):
                return super().__new__(cls, name, bases, {**space, "words": words})
        class Made(metaclass=Meta, k=1):
            __slots__ = ("a",)
            @property
            def twice(self): return self.a * 2
        def f(a, /, b, *args, c=3, **kw):
            with_default = [x async for x in ()] if False else [y := b, *args]
            match kw:
                case {"p": [1, *rest], **more}: return "one", rest, more
                case {"p": str() as s} if s: return "text", s
                case _: return a, with_default, c
        made = Made(); made.a = 21
        result = [made.twice, Made.words, f(1, 2), f(1, 2, 3, c=4, p=[1, 5, 6], q=7), f(0, 0, p="x")]
        result.append({k: v for k, v in zip("abc", range(9)) if v != 1})
        for i in range(10):
            if i == 3: continue
            if i == 6: break
            result.append(i)
        else:
            result.append("never")
        while True:
            try: result.append(operator.index(1.5))
            except TypeError as e: result.append(str(e)); break
            finally: result.append("finally")
        del i
        result.append(f"{made.twice!r:>5}|{3.14159:.2f}|{'x':^5}")
    """).replace("[x async for x in ()] if False else ", "")
    code = compile(source, "<made>", "exec")
    space: dict[str, object] = {}
    exec(code, space)
    errors = []
    for bad in ("def f(:", "x = = 1", "if 1:\nx", "'abc", "f(a for a in b, c)", "return", "a\u00a0b"):
        try:
            compile(bad, "<bad>", "exec")
        except SyntaxError as error:
            errors.append((error.msg, error.lineno, error.offset))
    return space["result"], code.co_names, digest(code.co_code), errors


@exercise
def garbage() -> object:
    """Cycles, weak references, finalizers, resurrection."""
    log: list[object] = []

    class Node:
        kept: "list[Node]" = []  # noqa: RUF012

        def __init__(self, name: int) -> None:
            self.name, self.other = name, self

        def __del__(self) -> None:
            log.append(self.name)
            if self.name == 3:
                Node.kept.append(self)

    gc.collect()
    references = [weakref.ref(Node(name), lambda _: log.append("gone")) for name in range(5)]
    found = gc.collect()
    return found, sorted(map(str, log)), [reference() is None for reference in references], len(Node.kept)


@exercise
def big_integers() -> object:
    """Products, quotients, powers, roots, text in several bases, bits."""
    a, b = 3**2000 - 7, 7**900 + 11
    numbers = [
        a * b,
        -a // b,
        -a % b,
        a**3 - b**4,
        pow(a, b, 10**50 + 151),
        math.isqrt(a),
        math.gcd(a * 6, b * 15),
        a ^ -b,
    ]
    numbers += [a << 777, -a >> 777, int(str(b)), int(hex(a), 16), math.factorial(300), math.comb(500, 250), ~a & b]
    return (
        [digest(number) for number in numbers],
        a.bit_count(),
        float(a >> 2300),
        (-(2**63)).to_bytes(9, "big", signed=True),
    )


@exercise
def floats() -> object:
    """Shortest text, hex, packing, special values, and the functions of math."""
    chance = random.Random(5)
    values = [0.1, -0.0, 5e-324, 1.7976931348623157e308, float("inf"), 1 / 3, 2.5, 1e22, 1e16, 123456789.125]
    values += [struct.unpack("<d", chance.randbytes(8))[0] for _ in range(300)]
    texts = [repr(v) + f"{v:.3e}{v:g}{v:%}{v:.17f}"[:99] + (v.hex() if v == v else "") for v in values]
    packed = [struct.pack("<d", v) + struct.pack(">e", math.remainder(v, 7) if math.isfinite(v) else 0) for v in values]
    names = ["sin", "cos", "tan", "atan", "exp", "log1p", "sinh", "cbrt", "gamma", "erf", "expm1", "asinh"]
    results = [(name, getattr(math, name)(v)) for name in names for v in (0.1, 0.5, 1.0, 2.75, 17.3)]
    same = [float(repr(v)) == v for v in values if v == v]
    return (
        digest(texts),
        digest(packed),
        digest(results),
        all(same),
        math.fsum([0.1] * 10),
        round(2.675, 2),
        7.0 // -2,
        -7 % 2.5,
    )


@exercise
def text_and_format() -> object:
    """Methods of strings and bytes, both kinds of formats, templates."""
    text = "The quick br\u00f6wn f\u00f6x"
    return [
        text.partition("quick"),
        text.translate({ord("q"): "Q", ord("k"): None}),
        text.center(40, "\u00b7"),
        "{0!r:>30} {1[k]:,} {2.real:+.1e} {0:.3}".format(text, {"k": 1234567}, 5j),
        operator.mod("%-5s|%05d|%x|%r|%c|%.3g", ("ab", -42, 255, b"\x00", 0x20AC, 1e-10)),
        f"{10**20:_} {255:#010b} {-3:=+5} {1e6:n} {datetime.date(2020, 2, 3):%Y/%m}",
        textwrap.fill(string.printable * 3, 30)[:200],
        b"a,b,,c".split(b","),
        bytearray(b"xyz").hex("-"),
        text.encode("unicode_escape"),
        sorted(text.split(), key=str.lower),
        string.Template("$a ${b} $$").substitute(a=1, b=2),
    ]


@exercise
def sorting_and_heaps() -> object:
    """Stable sorts of random and of structured data, by keys and comparisons."""

    def seventh(a: int, b: int) -> int:
        return a % 7 - b % 7

    chance = random.Random(11)
    numbers = [chance.randrange(1000) for _ in range(5000)]
    runs = [*range(1000), *range(1000, 0, -1), *numbers]
    pairs = list(enumerate(numbers))
    pairs.sort(key=operator.itemgetter(1), reverse=True)
    compared = sorted(numbers[:500], key=functools.cmp_to_key(seventh))
    heap = numbers[:]
    heapq.heapify(heap)
    popped = [heapq.heappop(heap) for _ in range(100)]
    return [digest(x) for x in (sorted(runs), pairs, compared, popped)], bisect.bisect(sorted(numbers), 500)


@exercise
def iterators_and_collections() -> object:
    """itertools, collections, functools, statistics, sets and dictionaries under change."""
    chance = random.Random("seed")
    words = ["".join(chance.choices("abcd", k=chance.randint(1, 3))) for _ in range(2000)]
    counter = collections.Counter(words)
    queue = collections.deque(words, maxlen=10)
    queue.rotate(3)
    chain = collections.ChainMap({"a": 1}, {"a": 2, "b": 3})
    table: dict[object, int] = {}
    for i in range(3000):
        table[i if i % 3 else f"k{i}"] = i
        if i % 5 == 0:
            table.pop(i // 2, None)
    groups = [(key, len(list(group))) for key, group in itertools.groupby(sorted(words), key=lambda word: word[0])]
    left, right = set(range(0, 300, 3)), set(range(0, 300, 5))
    fibonacci = functools.cache(lambda n: n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2))
    return [
        counter.most_common(5),
        list(queue),
        dict(chain),
        digest(list(table.items())),
        groups,
        [digest(sorted(x)) for x in (left & right, left | right, left ^ right, left - right)],
        list(itertools.islice(itertools.permutations("abcd", 3), 5, 9)),
        list(itertools.accumulate(range(1, 9), operator.mul)),
        fibonacci(120),
        statistics.stdev(map(len, words)),
        str(sum(fractions.Fraction(1, n) for n in range(1, 40))),
        chance.getrandbits(100),
        chance.gauss(0, 1),
        chance.sample(range(10**9), 3),
    ]


class Root(proxy_wasm.RootContext):
    """Runs the exercises."""

    def on_configure(self, configuration: bytes) -> bool:
        """Logs what each of them returns, or how it failed."""
        for name, function in exercises.items():
            try:
                outcome = repr(function())
            except Exception as error:
                outcome = f"FAILED {type(error).__name__}: {error}"
            proxy_wasm.info(f"{name}: {outcome}")
        return True


proxy_wasm.register(Root)
