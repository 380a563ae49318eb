"""The ABI table, read for the test hosts."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLE: dict[str, Any] = tomllib.loads(Path(__file__).parent.parent.joinpath("abi.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class HostCall:
    """A host call: its name, the kinds of its parameters in order, and the statuses that mean `None`."""

    name: str
    parameters: dict[str, str]
    absent: frozenset[int]

    @property
    def inputs(self) -> list[str]:
        """The kinds of what goes to the host."""
        return [kind for kind in self.parameters.values() if not kind.startswith("out-")]

    @property
    def outputs(self) -> list[str]:
        """The kinds of what comes back."""
        return [kind for kind in self.parameters.values() if kind.startswith("out-")]


@dataclass(frozen=True)
class Callback:
    """A callback: its name, its parameters, what its result means (None: there is none) and the result of a failure."""

    name: str
    parameters: tuple[str, ...]
    result: str | None
    failed: int


VERSION: str = _TABLE["version"]
STATUS: dict[str, int] = _TABLE["status"]
HOST_CALLS = {
    name: HostCall(name, call["parameters"], frozenset(STATUS[status] for status in call.get("absent", ())))
    for name, call in _TABLE["host_call"].items()
}
CALLBACKS = {
    name: Callback(name, tuple(callback["parameters"]), callback.get("result"), callback.get("failed", 0))
    for name, callback in _TABLE["callback"].items()
}
