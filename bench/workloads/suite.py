"""The workloads: what filters do to a request, each a plain function from one documented value to another.

The module and the desktop's CPython run this very file. It needs nothing but the standard library, and imports all of it at the top.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit


class Workload(NamedTuple):
    """A function, what it is given, and what it must return."""

    function: Callable[[Any], object]
    given: object
    returns: object

    @property
    def name(self) -> str:
        """Its function's name."""
        return self.function.__name__

    @property
    def about(self) -> str:
        """What it does: the first line of its function's docstring."""
        return (self.function.__doc__ or "").partition("\n")[0].rstrip(".")


class WrongResult(Exception):
    """A workload returned something else than it must."""


def repeat(workload: Workload, times: int) -> object:
    """Runs a workload so many times and returns its last result; raises WrongResult for one that is wrong."""
    function, given, result = workload.function, workload.given, None
    for _ in range(times):
        result = function(given)
    if result != workload.returns:
        raise WrongResult(f"{workload.name} returned {result!r} and not {workload.returns!r}")
    return result


MOST_TIMES = (1 << 16) - 1


def ask(number: int, times: int) -> int:
    """Returns the number that asks for a workload, so many times."""
    return number << 16 | times


def asked(number: int) -> tuple[int, int]:
    """Returns which workload a number asks for, and how many times."""
    return number >> 16, number & MOST_TIMES


HOP_BY_HOP = frozenset(["connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"])
HEADERS = [
    (":method", "POST"),
    (":path", "/api/v1/users/42/orders?limit=20&sort=-date&tag=a%20b&tag=c"),
    (":authority", "shop.example.com"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "application/json"),
    ("Connection", "keep-alive"),
    ("TE", "trailers"),
    ("X-Forwarded-For", "203.0.113.9, 10.0.0.7"),
    ("Cookie", "session=31d4d96e407aad42; theme=dark"),
    ("Content-Type", "application/json; charset=utf-8"),
]


def headers(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Header work: lower-case names, hop-by-hop headers dropped, the client's address added."""
    kept = [(name.lower(), value) for name, value in pairs if name.lower() not in HOP_BY_HOP]
    forwarded = dict(kept).get("x-forwarded-for", "")
    return [*kept, ("x-client", forwarded.split(",")[0].strip())]


def request_text(text: str) -> dict[str, str]:
    """String splitting: the head of an HTTP/1.1 request as a dictionary."""
    first, *lines = text.split("\r\n")
    method, path, version = first.split(" ")
    found = {"method": method, "path": path, "version": version.removeprefix("HTTP/")}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


_TEXT = "\r\n".join(
    ["POST /upload HTTP/1.1", *(f"{name}: {value}" for name, value in HEADERS if not name.startswith(":")), "", ""]
)
_OF_TEXT = {"method": "POST", "path": "/upload", "version": "1.1"} | {
    name.lower(): value for name, value in HEADERS if not name.startswith(":")
}

_ROUTES = [
    (re.compile(r"^/api/v(?P<version>\d+)/users/(?P<user>\d+)(?:/(?P<rest>\w+))?$"), "users"),
    (re.compile(r"^/static/(?P<file>[\w./-]+\.(?:css|js|png))$"), "static"),
    (re.compile(r"^/(?P<language>[a-z]{2})(?:-[A-Z]{2})?/(?P<page>[^/?]+)$"), "pages"),
    (re.compile(r"\.(?:php|aspx?|cgi)\b", re.IGNORECASE), "blocked"),
]
_PATHS = ["/api/v1/users/42/orders", "/static/css/main.css", "/de-AT/kontakt", "/wp-login.PHP", "/nowhere/at/all"]


def routes(paths: list[str]) -> list[tuple[str, dict[str, str | None]]]:
    """Regular expressions: the route of a path, and the groups of its pattern."""
    found: list[tuple[str, dict[str, str | None]]] = []
    for path in paths:
        for pattern, name in _ROUTES:
            if match := pattern.search(path):
                found.append((name, match.groupdict()))
                break
        else:
            found.append(("none", {}))
    return found


_ROUTED = [
    ("users", {"version": "1", "user": "42", "rest": "orders"}),
    ("static", {"file": "css/main.css"}),
    ("pages", {"language": "de", "page": "kontakt"}),
    ("blocked", {}),
    ("none", {}),
]

_ORDER = (
    '{"order": 1042, "customer": {"name": "Jos\\u00e9", "card": "4111111111111111", "vip": false}, "note": null, "items": ['
    '{"sku": "A-1", "count": 2, "price": 9.5}, {"sku": "B-2", "count": 1, "price": 120.0}, {"sku": "C-3", "count": 10, "price": 0.25}]}'
)


def json_document(text: str) -> str:
    """JSON: read, a member redacted, another added, and written again."""
    order = json.loads(text)
    order["customer"]["card"] = "*" * 12 + order["customer"]["card"][-4:]
    order["total"] = sum(item["count"] * item["price"] for item in order["items"])
    return json.dumps(order, separators=(",", ":"))


_REDACTED = (
    '{"order":1042,"customer":{"name":"Jos\\u00e9","card":"************1111","vip":false},"note":null,"items":['
    '{"sku":"A-1","count":2,"price":9.5},{"sku":"B-2","count":1,"price":120.0},{"sku":"C-3","count":10,"price":0.25}],"total":141.5}'
)


def sha256(body: bytes) -> str:
    """Hashing: SHA-256 of a body of 1 KiB, as text."""
    return hashlib.sha256(body).hexdigest()


def signature(message: bytes) -> bool:
    """HMAC: a webhook's signature, checked in constant time."""
    made = hmac.new(b"a secret of the webhook", message, hashlib.sha256).hexdigest()
    return hmac.compare_digest(made, "bf2fcf299ce8844a54899c175051ce41836794a208dcea1d9ecdeba54e741d99")


_TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.c2lnbmF0dXJl"


def token(text: str) -> tuple[bytes, ...]:
    """Base64: the three parts of a JSON Web Token."""
    return tuple(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in text.split("."))


_PARTS = (
    b'{"alg":"HS256","typ":"JWT"}',
    b'{"sub":"1234567890","name":"John Doe","iat":1516239022}',
    b"signature",
)

_CLUSTERS = {f"tenant-{number}": {"cluster": f"cluster-{number % 7}", "weight": number % 5} for number in range(200)}


def lookups(names: list[str]) -> list[tuple[str, int]]:
    """Dictionary look-ups: the cluster and weight of tenants, known and unknown ones."""
    fallback: dict[str, Any] = {"cluster": "default", "weight": 0}
    found = []
    for name in names:
        entry = _CLUSTERS.get(name, fallback)
        found.append((entry["cluster"], entry.get("weight", 1)))
    return found


_TENANTS = [f"tenant-{number}" for number in range(0, 400, 16)]
_FOUND = [(f"cluster-{n % 7}", n % 5) if n < 200 else ("default", 0) for n in range(0, 400, 16)]


def log_lines(requests: list[tuple[str, str, int, float]]) -> list[str]:
    """Formatted strings: lines of an access log."""
    return [
        f'{address:>15} "{path!s}" {status:03d} {seconds * 1000:.2f}ms {"error" if status >= 500 else "ok"}'
        for address, path, status, seconds in requests
    ]


_REQUESTS = [("10.0.0.7", "/a", 200, 0.00125), ("203.0.113.9", "/b?c=d", 503, 1.5), ("192.0.2.1", "/", 404, 0.25)] * 3
_LINES = [
    '       10.0.0.7 "/a" 200 1.25ms ok',
    '    203.0.113.9 "/b?c=d" 503 1500.00ms error',
    '      192.0.2.1 "/" 404 250.00ms ok',
] * 3

_NETWORKS = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "192.168.0.0/16", "2001:db8::/32", "fd00::/8")]


def addresses(texts: list[str]) -> list[str]:
    """IP addresses: parsed, and the network that has each."""
    found = []
    for text in texts:
        address = ipaddress.ip_address(text)
        network = next((str(network) for network in _NETWORKS if address in network), "none")
        found.append(network)
    return found


def dates(texts: list[str]) -> list[str]:
    """Dates and times: parsed, moved on by a token's lifetime, and compared."""
    now = datetime.fromisoformat("2026-11-28T12:00:00+00:00")
    found = []
    for text in texts:
        expires = datetime.fromisoformat(text) + timedelta(minutes=90)
        found.append(f"{expires.isoformat()} {'valid' if expires > now else 'expired'}")
    return found


def frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """Binary parsing: the length, type and payload of frames as HTTP/2 has them."""
    found, at = [], 0
    while at < len(data):
        high, low, kind, flags, stream = struct.unpack_from(">BHBBI", data, at)
        end = at + 9 + (high << 16 | low)
        found.append((kind | flags << 8, stream & 0x7FFFFFFF, data[at + 9 : end]))
        at = end
    return found


_PAYLOADS = [
    (0x0104, 1, b"\x82\x86\x84"),
    (0x0000, 3, b"x" * 40),
    (0x0100, 3, b""),
    (0x0004, 0, b"\x00\x03\x00\x00\x00d"),
]
_FRAMES = b"".join(
    struct.pack(">BHBBI", 0, len(payload), kind & 0xFF, kind >> 8, stream) + payload
    for kind, stream, payload in _PAYLOADS
)


def urls(text: str) -> tuple[str | None, int | None, str, list[tuple[str, str]]]:
    """URLs: split, unquoted, and the query as pairs."""
    url = urlsplit(text)
    return url.hostname, url.port, unquote(url.path), parse_qsl(url.query)


def cookies(text: str) -> dict[str, str]:
    """Cookies: a Cookie header as a dictionary."""
    return {name: morsel.value for name, morsel in SimpleCookie(text).items()}


def languages(text: str) -> list[str]:
    """Sorting: the languages of an Accept-Language header, by preference."""
    weighted = []
    for place, part in enumerate(text.split(",")):
        name, _, weight = part.strip().partition(";q=")
        weighted.append((-float(weight or 1), place, name))
    return [name for _, _, name in sorted(weighted)]


def scopes(text: str) -> tuple[list[str], bool, int]:
    """Set operations: the scopes of a token against those that a route wants."""
    given, wanted = set(text.split()), {"read:orders", "write:orders", "read:users"}
    return sorted(wanted - given), given.isdisjoint({"admin", "root"}), len(given | wanted) - len(given & wanted)


@dataclass(frozen=True)
class Upstream:
    """A host of a cluster."""

    address: str
    port: int = 80
    weight: int = 1
    healthy: bool = True


def records(lines: list[str]) -> list[Upstream]:
    """Dataclasses: made, changed by a copy, and compared."""
    found = []
    for line in lines:
        address, _, port = line.partition(":")
        upstream = Upstream(address, int(port))
        found.append(replace(upstream, healthy=False) if upstream == Upstream("10.0.0.2", 8080) else upstream)
    return found


class _Refused(ValueError):
    pass


def _limit(text: str) -> int:
    try:
        limit = int(text)
    except ValueError as error:
        raise _Refused(f"no number: {text}") from error
    if limit < 0:
        raise _Refused(f"negative: {limit}")
    return limit


def failures(texts: list[str]) -> list[str]:
    """Exceptions: raised, chained, caught, and a default taken instead."""
    found = []
    for text in texts:
        try:
            found.append(str(_limit(text)))
        except _Refused as refused:
            found.append(f"{refused} ({type(refused.__cause__).__name__})")
    return found


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, 1):
        if line and not line.startswith("#"):
            yield number, line


def _fields(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines:
        yield number, [field.strip() for field in line.split(",")]


def pipeline(lines: list[str]) -> dict[str, int]:
    """Generators: comments dropped, fields split, and summed by name."""
    total: dict[str, int] = {}
    for number, (name, count) in _fields(_numbered(lines)):
        total[name] = total.get(name, 0) + int(count) * number
    return total


def bucket(key: bytes) -> int:
    """Small integers: a key's FNV-1a hash, as a percentage."""
    value = 0x811C9DC5
    for byte in key:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value % 100


WORKLOADS = (
    Workload(
        headers,
        HEADERS,
        [
            *((name.lower(), value) for name, value in HEADERS if name not in ("Connection", "TE")),
            ("x-client", "203.0.113.9"),
        ],
    ),
    Workload(request_text, _TEXT, _OF_TEXT),
    Workload(routes, _PATHS, _ROUTED),
    Workload(json_document, _ORDER, _REDACTED),
    Workload(sha256, b"0123456789abcdef" * 64, "4613a38a7f79ada3fc343ea4de1488f8828f0fe602d8cb7bdce958040b204b8b"),
    Workload(signature, b'{"event": "push", "repository": "shop", "number": 42}', True),
    Workload(token, _TOKEN, _PARTS),
    Workload(lookups, _TENANTS, _FOUND),
    Workload(log_lines, _REQUESTS, _LINES),
    Workload(
        addresses,
        ["10.1.2.3", "192.168.7.1", "2001:db8::9", "203.0.113.9", "::1"],
        ["10.0.0.0/8", "192.168.0.0/16", "2001:db8::/32", "none", "none"],
    ),
    Workload(
        dates,
        ["2026-11-28T10:15:00+00:00", "2026-11-28T11:59:59.250+01:00", "2026-11-28T12:00:00+00:00"],
        [
            "2026-11-28T11:45:00+00:00 expired",
            "2026-11-28T13:29:59.250000+01:00 valid",
            "2026-11-28T13:30:00+00:00 valid",
        ],
    ),
    Workload(frames, _FRAMES, _PAYLOADS),
    Workload(
        urls,
        "https://shop.example.com:8443/caf%C3%A9/menu?limit=20&sort=-date&tag=a%20b&tag=c",
        ("shop.example.com", 8443, "/café/menu", [("limit", "20"), ("sort", "-date"), ("tag", "a b"), ("tag", "c")]),
    ),
    Workload(
        cookies,
        'session=31d4d96e407aad42; theme=dark; cart="a\\054b"; consent=yes',
        {"session": "31d4d96e407aad42", "theme": "dark", "cart": "a,b", "consent": "yes"},
    ),
    Workload(languages, "fr;q=0.7, en, de-AT;q=0.9, de;q=0.9, *;q=0.1", ["en", "de-AT", "de", "fr", "*"]),
    Workload(scopes, "read:orders read:users profile email offline", (["write:orders"], True, 4)),
    Workload(
        records,
        ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:9090"],
        [Upstream("10.0.0.1", 8080), Upstream("10.0.0.2", 8080, 1, False), Upstream("10.0.0.3", 9090)],
    ),
    Workload(
        failures,
        ["100", "ten", "-1", "0", ""],
        ["100", "no number: ten (ValueError)", "negative: -1 (NoneType)", "0", "no number:  (ValueError)"],
    ),
    Workload(
        pipeline,
        ["# name, count", "apples, 3", "pears, 4", "", "apples, 5", "# the end", "plums, 1"],
        {"apples": 3 * 2 + 5 * 5, "pears": 4 * 3, "plums": 7},
    ),
    Workload(bucket, b"customer-1042:canary", 99),
)
