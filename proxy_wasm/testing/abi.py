"""The ABI table, typed: what `abi.toml` says of host calls and callbacks, and what a parameter's kind means in each language.

The C boundary, its type stubs, the verifier and the test hosts read it. The toolchain loads this file alone (`toolchain/abi.py`), so it
imports nothing of the SDK.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Kind:
    """The kind of a host call's parameter, and its form in each language.

    `c` and `wasm` are the types of the parameters that it takes there: two for bytes. `python` is what the Python function takes or
    returns. `take` is the C function that reads a Python number. `give` is the C expression that makes a Python object of the
    parameter `%s`. `least` and `most` bound a number.
    """

    name: str
    c: tuple[str, ...]
    wasm: tuple[str, ...]
    python: str
    take: str = ""
    give: str = ""
    least: int = 0
    most: int = 0

    @property
    def is_output(self) -> bool:
        """Whether the host writes it."""
        return self.name.startswith("out-")

    @property
    def c_value(self) -> str:
        """The C type of a number, that of the result for an output."""
        return self.c[0].removesuffix(" *")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("u32", ("u32",), ("i32",), "int", "PyLong_AsUnsignedLong", most=2**32 - 1),
        Kind("i32", ("i32",), ("i32",), "int", "PyLong_AsLong", least=-(2**31), most=2**31 - 1),
        Kind("u64", ("u64",), ("i64",), "int", "PyLong_AsUnsignedLongLong", most=2**64 - 1),
        Kind("i64", ("i64",), ("i64",), "int", "PyLong_AsLongLong", least=-(2**63), most=2**63 - 1),
        Kind("bytes", ("const char *", "u32"), ("i32", "i32"), "bytes | str"),
        Kind("out-u32", ("u32 *",), ("i32",), "int", give="PyLong_FromUnsignedLong(%s)", most=2**32 - 1),
        Kind("out-u64", ("u64 *",), ("i32",), "int", give="PyLong_FromUnsignedLongLong(%s)", most=2**64 - 1),
        Kind("out-bytes", ("char **", "u32 *"), ("i32", "i32"), "bytes", give="give_bytes(%s, %s_size)"),
    )
}


@dataclass(frozen=True)
class HostCall:
    """A host call: its name, its parameters' kinds in order, and the statuses that mean `None`.

    `about` is the parameter that the exception of a refused call names.
    """

    name: str
    parameters: dict[str, Kind]
    absent: frozenset[int]
    about: str | None

    @property
    def inputs(self) -> dict[str, Kind]:
        """What goes to the host."""
        return {name: kind for name, kind in self.parameters.items() if not kind.is_output}

    @property
    def outputs(self) -> dict[str, Kind]:
        """What comes back."""
        return {name: kind for name, kind in self.parameters.items() if kind.is_output}

    @property
    def wasm(self) -> list[str]:
        """The types of the import's parameters; its result is an i32, the status."""
        return [word for kind in self.parameters.values() for word in kind.wasm]


@dataclass(frozen=True)
class Callback:
    """A callback: its parameters, each a u32; what its result means (None: it has no result), and the result of a failure.

    `contexts` are the kinds of contexts that it is made on: root, stream (a TCP connection), http (a request and its response).
    `first` says that it is the first that such a context hears of; `ending`, that nothing can be done for the stream any more;
    `always`, that a module exports it whatever its filter overrides.
    """

    name: str
    parameters: tuple[str, ...]
    contexts: tuple[str, ...]
    result: str | None
    failed: int
    first: bool
    ending: bool
    always: bool

    @property
    def method(self) -> str:
        """The name of the context's method."""
        return self.name.removeprefix("proxy_")


@dataclass(frozen=True)
class Abi:
    """A version of the ABI, as this project speaks it."""

    version: str
    status: dict[str, int]
    host_calls: dict[str, HostCall]
    callbacks: dict[str, Callback]

    @property
    def version_export(self) -> str:
        """The export by which a module says its version."""
        return "proxy_abi_version_" + self.version.replace(".", "_")


def read_abi(path: Path) -> Abi:
    """Reads a table, or raises KeyError for what it does not say, and for a kind that nobody knows."""
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    status = table["status"]
    return Abi(
        table["version"],
        status,
        {name: _host_call(name, row, status) for name, row in table["host_call"].items()},
        {name: _callback(name, row) for name, row in table["callback"].items()},
    )


def _host_call(name: str, row: dict[str, Any], status: dict[str, int]) -> HostCall:
    parameters = {parameter: KINDS[kind] for parameter, kind in row["parameters"].items()}
    absent = frozenset(status[answer] for answer in row.get("absent", ()))
    return HostCall(name, parameters, absent, row.get("about"))


def _callback(name: str, row: dict[str, Any]) -> Callback:
    flags = {flag: row.get(flag, False) for flag in ("first", "ending", "always")}
    return Callback(
        name, tuple(row["parameters"]), tuple(row["contexts"]), row.get("result"), row.get("failed", 0), **flags
    )


TABLE = read_abi(Path(__file__).parent.parent / "abi.toml")
VERSION, STATUS, HOST_CALLS, CALLBACKS = TABLE.version, TABLE.status, TABLE.host_calls, TABLE.callbacks
