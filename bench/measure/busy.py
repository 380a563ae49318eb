"""Latency where something else uses the worker's caches: between connections a thread on its processor walks over some bytes."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import load
from bench.intervals import Values, compare
from bench.measure.latency import PAUSE_NS, WARM_UP
from bench.proxy import Proxy, run
from bench.variants import BASELINE, Variant, add_options, chosen

REGIMES = {"off": 0, "L2": 1, "twice L2": 2}
"""How much is walked over before a connection, in sizes of the second-level cache."""

_CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
_USUAL = 1 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20}


@dataclass(frozen=True)
class Busy:
    """Latencies in nanoseconds of all regimes, of one run: each a table with a row for each round, a column for each variant."""

    variants: list[Variant]
    tables: dict[str, Values]
    cache: int
    """The size of the second-level cache, in bytes."""
    misroutes: int
    unanswered: int


def cache_size(text: str) -> int:
    """Returns the bytes that the kernel's name of a cache's size means, or a usual size if it means none."""
    found = re.fullmatch(r"(\d+)([KM]?)\s*", text)
    return int(found[1]) * _UNITS[found[2]] if found else _USUAL


def measure(proxy: Proxy, variants: Sequence[Variant], rounds: int, seed: int = 1) -> Busy:
    """Makes one connection after the other: in each round one to every variant in every regime, in an order drawn anew."""
    size = cache_size(_CACHE.read_text() if _CACHE.exists() else "")
    warm_up = max(20, round(rounds * WARM_UP))
    with proxy.worker_alone() as processor:
        ports = [f"{proxy.ports[v.name]}+{share * size}@{processor}" for share in REGIMES.values() for v in variants]
        made = load.client("rounds", ports, warm_up + rounds, PAUSE_NS, seed)
    records = [made.of(index) for index in range(len(ports))]
    columns = [load.latency_ns(column[warm_up:]) for column in records]
    wrong = [load.wrong(variants[index % len(variants)], column) for index, column in enumerate(records)]
    tables = {
        regime: np.stack(columns[at * len(variants) : (at + 1) * len(variants)], 1) for at, regime in enumerate(REGIMES)
    }
    return Busy(list(variants), tables, size, sum(w[0] for w in wrong), sum(w[1] for w in wrong))


def main() -> None:
    """Prints a run's table: the quick judge while one makes something touch less memory."""
    parser = argparse.ArgumentParser(
        prog="busy", description="Latency from connect to first byte, with something else in the worker's caches."
    )
    parser.add_argument(
        "--rounds", type=int, default=2000, help="connections to each variant and regime (default: 2000)"
    )
    add_options(parser)
    parser.add_argument("--reference", default=BASELINE.name, help="what ratios are to (default: baseline)")
    parser.add_argument("--seed", type=int, default=1, help="of the order and the sources")
    options = parser.parse_args()
    try:
        variants = [variant for variant in chosen(options) if variant.proxied]
        reference = [variant.name for variant in variants].index(options.reference)
    except ValueError as error:
        sys.exit(f"busy: {error}")
    with tempfile.TemporaryDirectory(prefix="bench-") as work, load.routers() as routers:
        print("Envoy compiles the modules ...", file=sys.stderr)
        with run(variants, routers.ports, Path(work)) as proxy:
            print(f"{options.rounds} rounds of {len(variants) * len(REGIMES)} connections ...", file=sys.stderr)
            measured = measure(proxy, variants, options.rounds, options.seed)
    for regime, table in measured.tables.items():
        found = compare(table, reference)
        print(
            f"{regime} ({REGIMES[regime] * measured.cache >> 10} KiB): p50 µs, and its ratio to {options.reference} (95 %)"
        )
        for variant, values, ratios in zip(variants, found.values, found.ratios, strict=True):
            print(f"  {variant.name:<10} {values['p50'].value / 1000:8.1f}   {ratios['p50']}")
    print(f"misroutes: {measured.misroutes}; without a reply: {measured.unanswered}")
    sys.exit(1 if measured.misroutes else 0)


if __name__ == "__main__":
    main()
