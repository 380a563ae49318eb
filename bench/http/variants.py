"""The table of what is measured for HTTP. To measure one more thing, add one entry; run, tables and tests follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FLOORS = Path(__file__).parent / "floors"
GUESTS = Path(__file__).parent / "guests"

SMALL, LARGE = 6, 65536
"""Bytes of a response's body."""


@dataclass(frozen=True)
class Variant:
    """One way of a request through the proxy."""

    name: str
    title: str
    """What it is, in a few words, for tables."""
    module: Path | None = None
    """A core module, binary or text; None for no filter."""
    beyond: str = "baseline"
    """The variant that does the same but for one thing: the difference of the two is its cost."""
    at_most_us: float | None = None
    """What this project wants the difference to be at most, in microseconds of the worker's processor time."""
    body: int = SMALL
    """Bytes of the response's body."""
    header: tuple[str, str] | None = None
    """A header that the filter sets in the response."""
    calls: bool = False
    """Whether the filter asks another service."""


def _floor(name: str, title: str, **more: object) -> Variant:
    return Variant(f"{name}-floor", title, FLOORS / f"{name}.wat", **more)  # type: ignore[arg-type]


def _python(name: str, title: str, at_most_us: float | None, guest: str = "", **more: object) -> Variant:
    module = GUESTS / f"{guest or name}.wasm"
    beyond = more.pop("beyond", f"{name}-floor")
    return Variant(name, title, module, beyond=beyond, at_most_us=at_most_us, **more)  # type: ignore[arg-type]


_ANSWER = ("x-answer", "yes")

VARIANTS = (
    Variant("baseline", "no filter, a response of Envoy's own", beyond=""),
    _floor("empty", "hand-written: told of the request's headers"),
    _python("empty", "Python: told of the request's headers", 1.5),
    _floor("typical", "hand-written: reads :path, sets a request and a response header", header=_ANSWER),
    _python("typical", "Python: the same", 4.0, header=_ANSWER),
    _floor("pairs", "hand-written: asks for all headers, both ways, and looks at none"),
    _python("pairs", "Python: all headers, both ways, as pairs", 8.0),
    Variant("large", "no filter, a response of 64 KB", beyond="", body=LARGE),
    _floor("body", "hand-written: reads the whole body of 64 KB, and replaces it", beyond="large", body=LARGE),
    _python("body", "Python: the same", None, body=LARGE),
    _floor("callback", "hand-written: asks another service first", calls=True),
    _python("callback", "Python: the same, by callbacks", None, calls=True),
    _python("await", "Python: the same, by await", 10.0, guest="awaiting", beyond="callback", calls=True),
)


def named(names: Iterable[str]) -> list[Variant]:
    """Returns the variants of some names and those that they go beyond; raises ValueError for a name that none has."""
    by_name = {variant.name: variant for variant in VARIANTS}
    wanted = set()
    for name in names:
        while name:
            if name not in by_name:
                raise ValueError(f"there is no variant {name!r}; there are {', '.join(by_name)}")
            wanted.add(name)
            name = by_name[name].beyond
    return [variant for variant in VARIANTS if variant.name in wanted]
