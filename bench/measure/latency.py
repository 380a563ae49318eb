"""Latency from connect to first byte: closed loop with all variants interleaved, and open loop at fixed rates."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import load
from bench.intervals import STATISTICS, Values, compare
from bench.proxy import Proxy, run
from bench.variants import BASELINE, Variant, add_options, chosen

PAUSE_NS = 150_000
"""Between two connections, so that what the proxy does after the one's end does not fall on the other."""
WARM_UP = 0.1
"""The share of the rounds, at the beginning, that is not counted."""


@dataclass
class Rounds:
    """Interleaved latencies in nanoseconds, a row for each round and a column for each variant; NaN where there was no reply."""

    variants: list[Variant]
    table: Values
    misroutes: dict[str, int]
    unanswered: dict[str, int]
    client_busy: float
    """The share of the time that the client was on a processor."""


def interleaved(proxy: Proxy, variants: Sequence[Variant], rounds: int, seed: int = 1) -> Rounds:
    """Makes one connection after the other, in each round one to every variant in an order drawn anew."""
    warm_up = max(20, round(rounds * WARM_UP))
    ports = [proxy.ports[variant.name] for variant in variants]
    made = load.client("rounds", ports, warm_up + rounds, PAUSE_NS, seed)
    columns, misroutes, unanswered = [], {}, {}
    for index, variant in enumerate(variants):
        records = made.of(index)
        misroutes[variant.name], unanswered[variant.name] = load.wrong(variant, records)
        columns.append(load.latency_ns(records[warm_up:]))
    return Rounds(
        list(variants), np.stack(columns, 1), misroutes, unanswered, made.client_cpu_ns / max(1, made.elapsed_ns)
    )


def save(rounds: Rounds, out: str) -> None:
    """Writes a run for `restore` to read."""
    counts = [[rounds.misroutes[variant.name], rounds.unanswered[variant.name]] for variant in rounds.variants]
    names = [variant.name for variant in rounds.variants]
    with Path(out).open("wb") as file:
        np.savez(file, names=names, table=rounds.table, counts=counts, client_busy=rounds.client_busy)


def restore(file: Path, variants: Sequence[Variant]) -> Rounds:
    """Reads what `save` wrote; the variants are found by their names."""
    with np.load(file) as saved:
        by_name = {variant.name: variant for variant in variants}
        names = [str(name) for name in saved["names"]]
        misroutes, unanswered = (dict(zip(names, map(int, column), strict=True)) for column in saved["counts"].T)
        chosen = [by_name[name] for name in names]
        return Rounds(chosen, saved["table"], misroutes, unanswered, float(saved["client_busy"]))


def main() -> None:
    """Prints an interleaved run's table: the quick judge while one makes something faster."""
    parser = argparse.ArgumentParser(
        prog="latency", description="Latency from connect to first byte, all variants interleaved in one Envoy."
    )
    parser.add_argument("--rounds", type=int, default=5000, help="connections to each variant (default: 5000)")
    add_options(parser)
    parser.add_argument("--reference", default=BASELINE.name, help="what ratios are to (default: baseline)")
    parser.add_argument("--log", action="store_true", help="Wasm's log at level info: what logs a line, logs it")
    parser.add_argument("--seed", type=int, default=1, help="of the order and the sources")
    options = parser.parse_args()
    try:
        variants = chosen(options)
        reference = [variant.name for variant in variants].index(options.reference)
    except ValueError as error:
        sys.exit(f"latency: {error}")
    with tempfile.TemporaryDirectory(prefix="bench-") as work, load.routers() as routers:
        print("Envoy compiles the modules ...", file=sys.stderr)
        with run(variants, routers.ports, Path(work), log=options.log) as proxy:
            print(f"{options.rounds} rounds of {len(variants)} connections ...", file=sys.stderr)
            measured = interleaved(proxy, variants, options.rounds, options.seed)
    found = compare(measured.table, reference)
    print(f"{'':<10} {'p50 µs':>8} {'p90':>8} {'p99':>8} {'p99.9':>8} {'mean':>8}   p50 / {options.reference} (95 %)")
    for variant, values, ratios in zip(variants, found.values, found.ratios, strict=True):
        row = " ".join(f"{values[name].value / 1000:8.1f}" for name in STATISTICS)
        print(f"{variant.name:<10} {row}   {ratios['p50']}")
    misroutes = sum(measured.misroutes.values())
    print(f"misroutes: {misroutes}; without a reply: {sum(measured.unanswered.values())}")
    sys.exit(1 if misroutes else 0)


if __name__ == "__main__":
    main()
