"""Which cache lines of generated code and of data a connection touches in Envoy's worker, counted by single steps."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import load
from bench.measure.operands import LINE, Decoder
from bench.measure.steps import DONE, Steps, StepsError, refusal
from bench.proxy import Proxy, run
from bench.variants import BASELINE, Variant, add_options, chosen

ROWS = ("instructions", "lines of code", "lines of data", "lines of the thread's stack")
Counts = dict[str, int]
"""What a connection touches, by the name of a row."""

_WARM_UP, _COUNTED = 30, 4
_SECONDS = 60.0


@dataclass
class Touched:
    """What one connection touched: instructions, and the numbers of lines."""

    instructions: int = 0
    code: set[int] = field(default_factory=set)
    data: set[int] = field(default_factory=set)
    stack: set[int] = field(default_factory=set)


class Counter:
    """Steps through what the worker runs for one connection after the other."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._worker = proxy.worker()
        self._steps = Steps(proxy.envoy.process.pid, self._worker)
        self._decoder = Decoder(proxy.envoy.process.pid)

    def connect(self, variant: Variant, source: str) -> Touched:
        """Makes a connection and ends it; returns what that touched."""
        touched = Touched()
        failures: list[Exception] = []
        client = threading.Thread(target=self._make, args=(variant, source, failures))
        client.start()
        for registers in self._steps.run():
            size, operands = self._decoder.at(registers.rip)
            touched.instructions += 1
            touched.code.update(range(registers.rip // LINE, (registers.rip + size - 1) // LINE + 1))
            for operand in operands:
                lines = operand.lines(registers)
                (touched.stack if self._steps.is_stack(lines[0] * LINE) else touched.data).update(lines)
        client.join()
        if failures:
            raise StepsError(f"a connection to {variant.name} failed while it was stepped through: {failures[0]}")
        return touched

    def _make(self, variant: Variant, source: str, failures: list[Exception]) -> None:
        try:
            _connect(self._proxy.ports[variant.name], source)
            # The worker has ended the one before it answers the next one.
            _connect(self._proxy.ports[BASELINE.name], source)
        except load.LoadError as error:
            failures.append(error)
        finally:
            os.kill(self._worker, DONE)

    def close(self) -> None:
        """Lets go of the worker."""
        self._steps.close()
        self._decoder.close()


def _connect(port: int, source: str) -> None:
    load.first_byte(("127.0.0.1", port), _SECONDS, source)


def count(proxy: Proxy, variants: Sequence[Variant], counted: int = _COUNTED) -> dict[str, Counts]:
    """Returns what a connection touches, on average, for each variant that is a module.

    The proxy has a listener for the baseline too. Raises StepsError where that cannot be counted.
    """
    if reason := refusal():
        raise StepsError(reason)
    modules = [variant for variant in variants if variant.module]
    for variant in modules:
        for number in range(_WARM_UP):
            _connect(proxy.ports[variant.name], _source(number))
    with contextlib.closing(Counter(proxy)) as counter:
        for variant in modules[:1]:
            counter.connect(variant, _source(0))  # V8 has something left to do after the start
        return {
            variant.name: _mean([counter.connect(variant, _source(number)) for number in range(counted)])
            for variant in modules
        }


def part(proxy: Proxy, variants: Sequence[Variant]) -> dict[str, Counts] | dict[str, str]:
    """Returns a report's part: what `count` finds, or under "error" why it cannot count."""
    try:
        return count(proxy, variants)
    except StepsError as error:
        return {"error": str(error)}


def _source(number: int) -> str:
    return f"127.22.0.{number + 1}"


def _mean(taken: Sequence[Touched]) -> Counts:
    sums = [
        sum(values)
        for values in zip(*((t.instructions, len(t.code), len(t.data), len(t.stack)) for t in taken), strict=True)
    ]
    return dict(zip(ROWS, (round(total / len(taken)) for total in sums), strict=True))


def table(found: dict[str, Counts]) -> list[list[str]]:
    """Returns a row for each thing counted, with a cell for each variant; the first cell is its name."""
    return [[row, *(f"{counts[row]:,}" for counts in found.values())] for row in ROWS]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        prog="lines",
        description="Cache lines of generated code and of data that a connection touches in Envoy's worker.",
    )
    add_options(parser)
    options = parser.parse_args()
    try:
        variants = [variant for variant in chosen(options) if variant.module]
        with tempfile.TemporaryDirectory(prefix="bench-lines-") as work, load.routers() as routers:
            print("Envoy compiles the modules ...", file=sys.stderr)
            with run([BASELINE, *variants], routers.ports, Path(work)) as proxy:
                found = count(proxy, variants)
    except (ValueError, StepsError) as error:
        sys.exit(f"lines: {error}")
    rows = [["", *found], *table(found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print(row[0].ljust(widths[0]), *cells, sep="  ")


if __name__ == "__main__":
    main()
