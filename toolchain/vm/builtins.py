"""What only some of the modules of C need that are built into CPython: functions and data of the runtime, in a file beside it.

A filter that can import none of them is built without that (`tier/without.py`). `runtime/owners.py` finds it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Owned(NamedTuple):
    """What is needed by these modules only: by each of them, or by none if there are none."""

    modules: frozenset[str]
    functions: Sequence[int]
    """By their indices in the runtime."""
    data: Sequence[tuple[int, int]]
    """Stretches of its memory: where they begin, and where they end."""


@dataclass(frozen=True)
class LeftOut:
    """What a filter is built without."""

    functions: frozenset[int] = frozenset()
    """Which nothing can call."""

    starts: frozenset[int] = frozenset()
    """Those of them that would start a module."""

    refusal: int = 0
    """The function that raises in their place."""

    data: tuple[tuple[int, int], ...] = ()
    """Which nothing can read."""


NOTHING = LeftOut()


@dataclass(frozen=True)
class Builtins:
    """The modules of C in a runtime."""

    starts: Mapping[str, int]
    """The function that starts each."""

    refusal: int
    """A function like these which raises an ImportError."""

    owned: Sequence[Owned]

    def without(self, modules: Collection[str]) -> LeftOut:
        """Returns what a filter needs no more if it can import none of these modules."""
        unneeded = [owned for owned in self.owned if owned.modules.issubset(modules)]
        functions = frozenset(function for owned in unneeded for function in owned.functions)
        starts = frozenset(self.starts[name] for name in modules if name in self.starts)
        data = sorted(stretch for owned in unneeded for stretch in owned.data)
        return LeftOut(functions | starts, starts, self.refusal, tuple(data))

    def encode(self) -> bytes:
        """Returns the bytes of a file that holds it."""
        owned = [[sorted(o.modules), list(o.functions), list(o.data)] for o in self.owned]
        return json.dumps({"starts": self.starts, "refusal": self.refusal, "owned": owned}, indent=0).encode()


def read_builtins(data: bytes) -> Builtins:
    """Returns what `Builtins.encode` wrote."""
    found = json.loads(data)
    owned = [
        Owned(frozenset(modules), functions, [(begin, end) for begin, end in stretches])
        for modules, functions, stretches in found["owned"]
    ]
    return Builtins(found["starts"], found["refusal"], owned)
