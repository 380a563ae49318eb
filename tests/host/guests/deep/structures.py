"""What holds its like, and that again: structures as deep as one likes."""

import collections
import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

from tests.host.guests.deep.cases import DEPTH, Wrap


def nest(wrap: Callable[[Any], Any], core: Any = None, depth: int = DEPTH) -> Any:
    """Wraps a value this many times."""
    for _ in range(depth):
        core = wrap(core)
    return core


def a_list(depth: int = DEPTH) -> Any:
    return nest(lambda inner: [inner], 1, depth)


def a_tuple(depth: int = DEPTH) -> Any:
    return nest(lambda inner: (inner,), 1, depth)


def a_dict(depth: int = DEPTH) -> Any:
    return nest(lambda inner: {"k": inner}, 1, depth)


class Node:
    """An object that holds another."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner


@dataclasses.dataclass
class Data:
    """A data class that holds another."""

    inner: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A data class that can be hashed."""

    inner: Any


Named = collections.namedtuple("Named", ["inner"])
NESTS: dict[str, Wrap] = {
    "list": lambda inner: [inner],
    "tuple": lambda inner: (inner,),
    "dict": lambda inner: {"k": inner},
    "deque": lambda inner: collections.deque([inner]),
    "ordered_dict": lambda inner: collections.OrderedDict(k=inner),
    "default_dict": lambda inner: collections.defaultdict(int, k=inner),
    "namespace": lambda inner: types.SimpleNamespace(inner=inner),
    "proxy": lambda inner: types.MappingProxyType({"k": inner}),
    "named_tuple": lambda inner: Named(inner),
    "data": Data,
    "slice": lambda inner: slice(inner),
    "alias": lambda inner: types.GenericAlias(list, inner),
    "exception": lambda inner: ValueError(inner),
    "partial": lambda inner: functools.partial(print, inner),
}

COMPARED = {kind: wrap for kind, wrap in NESTS.items() if kind not in ("exception", "partial")}
