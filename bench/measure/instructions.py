"""Where a connection's instructions go, from one host call to the next: counted by wasmtime, and the same on every machine."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.proxy import binary
from bench.variants import Variant, add_options, chosen
from proxy_wasm.testing.abi import HOST_CALLS
from proxy_wasm.testing.host import Host
from proxy_wasm.testing.wasm import WasmModule

Steps = dict[str, int]
"""WebAssembly instructions by what they lead to, in the order in which that happens; in `count` "sum" is last."""

_WARM_UP, _COUNTED = 30, 10
_WARN = 3


class _Counter:
    """Divides what a module runs at its host calls. What the module runs to take a call's answer is the call's own."""

    def __init__(self, module: Path, configuration: bytes, cache: Path) -> None:
        host = Host()
        host.log_level = _WARN
        host.foreign_functions[b"set_envoy_filter_state"] = lambda argument: b""
        for name in HOST_CALLS:
            method = getattr(host, name, None)
            if method is not None:
                setattr(host, name, self._divided(name.removeprefix("proxy_"), method))
        self._steps: Steps = {}
        self._callback = ""
        self._before = 0
        self._vm = WasmModule(module, host, cache=cache, counted=True)
        assert self._vm.start(b"", configuration)

    def _divided(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self._callback:
                self._reach(f"{self._callback}: to {name}")
            return method(*arguments)

        return call

    def _reach(self, step: str) -> None:
        now = self._vm.instructions
        self._steps[step] = self._steps.get(step, 0) + now - self._before
        self._before = now

    def _run(self, callback: str, function: Callable[..., Any], *arguments: Any) -> Any:
        self._callback, self._before = callback, self._vm.instructions
        result = function(*arguments)
        self._reach(f"{callback}: to its end")
        self._callback = ""
        return result

    def connect(self, source: str) -> Steps:
        """Makes a connection and ends it; returns its steps."""
        self._steps = {}
        connection = self._run("context_create", self._vm.connection, {}, source)
        self._run("new_connection", connection.new_connection)
        self._run("the end", connection.close)
        return self._steps


def count(variants: Sequence[Variant], work: Path) -> dict[str, Steps]:
    """Returns a connection's steps, on average, for each variant that is a module; what is compiled for that is kept in `work`."""
    found = {}
    for variant in variants:
        if variant.module:
            configuration = json.dumps(variant.rules).encode() if variant.rules else b"standalone"
            counter = _Counter(binary(variant.module, work), configuration, work)
            taken = [counter.connect(f"127.22.0.{i + 1}:50000") for i in range(_WARM_UP + _COUNTED)][_WARM_UP:]
            names = dict.fromkeys(step for one in taken for step in one)  # a connection may take another way
            steps = {step: round(sum(one.get(step, 0) for one in taken) / _COUNTED) for step in names}
            found[variant.name] = steps | {"sum": sum(steps.values())}
    return found


def table(found: dict[str, Steps]) -> list[list[str]]:
    """Returns a row for each step, with a cell for each variant; the first cell is the step's name."""
    steps = list(dict.fromkeys(step for taken in found.values() for step in taken if step != "sum"))
    return [[step, *(f"{t[step]:,}" if step in t else "" for t in found.values())] for step in (*steps, "sum")]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="instructions", description="WebAssembly instructions of a connection, from one host call to the next."
    )
    add_options(parser)
    options = parser.parse_args()
    try:
        variants = chosen(options)
    except ValueError as error:
        sys.exit(f"instructions: {error}")
    with tempfile.TemporaryDirectory(prefix="bench-instructions-") as work:
        found = count(variants, Path(work))
    rows = [["", *found], *table(found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
            sep="  ",
        )


if __name__ == "__main__":
    main()
