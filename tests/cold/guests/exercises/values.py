"""Numbers, texts and collections."""

import bisect
import collections
import datetime
import encodings.unicode_escape  # noqa: F401, a filter has the encodings that it imports
import fractions
import functools
import heapq
import itertools
import math
import operator
import random
import statistics
import string
import struct
import textwrap

from tests.cold.guests.exercises.exercise import digest, exercise


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
