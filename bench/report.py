"""Runs every benchmark and writes the report: `./bazelw run //bench:report`, `-- --quick` for about two minutes."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from bench import (
    build_time,
    latency,
    load,
    machine,
    open_loop,
    proxy,
    render,
    sizes,
    startup,
    throughput,
    verdict,
)
from bench.compare import FORMAT
from bench.guest import engines
from bench.intervals import STATISTICS, Values, bootstrap, compare, interval
from bench.variants import BASELINE, FLOOR, PYTHON, VARIANTS, Variant, add_options, chosen
from envoy.process import EnvoyError

DIRECTORY = "bench-report"
Report = dict[str, Any]
COUNTS = ("connections", "misroutes", "unanswered")

# The latencies that the distribution's plots are drawn from.
GRID = [*np.linspace(0, 0.98, 99), *(1 - np.geomspace(0.02, 0.0002, 41))]


@dataclass(frozen=True)
class Effort:
    """How long is measured."""

    rounds: int
    log_rounds: int
    bursts: int
    burst: int
    slices: int
    slice_seconds: float
    guest_rounds: int
    starts: int
    workers: tuple[int, ...]
    build: bool


QUICK = Effort(3000, 1500, 8, 1000, 4, 0.25, 40, 1, (1, 2), False)
FULL = Effort(30000, 10000, 20, 1500, 12, 0.25, 200, 3, (1, 2, 4), True)


class Progress:
    """One line for each stage on standard error, with the time that it took; on a terminal it moves while the stage runs."""

    def __init__(self, stages: int) -> None:
        self._stages, self._number = stages, 0
        self._moving = sys.stderr.isatty()

    @contextlib.contextmanager
    def stage(self, text: str) -> Iterator[Callable[[float], None]]:
        """Announces a stage; what it gives takes the share of it that is done."""
        self._number += 1
        text = f"[{self._number:2}/{self._stages}] {text}"
        started, share, over = time.monotonic(), [0.0], threading.Event()

        def show() -> None:
            while not over.wait(0.2):
                bar = "█" * round(share[0] * 20) if share[0] else ""
                seconds = time.monotonic() - started
                print(f"\r\033[K{text} {bar:░<20} {seconds:.0f} s", end="", file=sys.stderr, flush=True)

        def done(part: float) -> None:
            share[0] = part

        display = threading.Thread(target=show, daemon=True)
        if self._moving:
            display.start()
        else:
            print(f"{text} ...", file=sys.stderr, flush=True)
        try:
            yield done
        finally:
            over.set()
            if self._moving:
                display.join()
                print("\r\033[K", end="", file=sys.stderr)
        print(f"{text}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _statistics(names: Sequence[str], table: Values, seed: int = 1) -> dict[str, Any]:
    """Values in microseconds and ratios to the baseline, each [value, low, high]."""
    found = compare(table / 1000, names.index(BASELINE.name), seed=seed)
    return {
        "values": {n: {s: v[s].as_json() for s in STATISTICS} for n, v in zip(names, found.values, strict=True)},
        "ratios": {n: {s: r[s].as_json() for s in STATISTICS} for n, r in zip(names, found.ratios, strict=True)},
    }


def _to_other(names: Sequence[str], table: Values, other: str, subject: str) -> list[float]:
    found = compare(table[:, [names.index(other), names.index(subject)]], 0)
    return found.ratios[1]["p50"].as_json()


def _latency(measured: latency.Rounds) -> Report:
    names = [variant.name for variant in measured.variants]
    made = _statistics(names, measured.table)
    made["python_to_floor"] = _to_other(names, measured.table, FLOOR.name, PYTHON.name)
    table = measured.table / 1000
    made |= {
        "rounds": len(table),
        "quantiles": GRID,
        "distribution": {name: list(np.nanquantile(table[:, i], GRID)) for i, name in enumerate(names)},
        "misroutes": sum(measured.misroutes.values()),
        "unanswered": sum(measured.unanswered.values()),
        "connections": table.size,
    }
    return made


def _with_pytest_benchmark(out: Path, effort: Effort, more: Sequence[Variant]) -> latency.Rounds:
    """Runs test_latency.py, pytest-benchmark's own run; its JSON and histogram go to `out`."""
    rounds = out / "rounds.npz"
    rounds.unlink(missing_ok=True)
    command = [sys.executable, "-S", "-m", "pytest", "bench/test_latency.py", "-q", "-p", "no:cacheprovider"]
    command += ["--config-file=pyproject.toml", f"--benchmark-json={out / 'pytest-benchmark.json'}"]
    command += [f"--benchmark-histogram={out / 'histogram'}"]
    environment = os.environ | {
        "BENCH_ROUNDS": str(effort.rounds),
        "BENCH_ROUNDS_OUT": str(rounds),
        "BENCH_MODULES": "\n".join(f"{variant.name}={variant.module}" for variant in more),
    }
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # A misroute fails pytest too, but is to be reported with all the rest.
    if not rounds.is_file():
        raise load.LoadError(f"the latency benchmark failed:\n{done.stdout[-3000:]}")
    return latency.restore(rounds, [*VARIANTS, *more])


def _log(routers: load.Routers, effort: Effort) -> Report:
    """With the log on: what logs a line for a connection, logs it."""
    logging = [BASELINE, FLOOR, PYTHON]
    with (
        tempfile.TemporaryDirectory(prefix="bench-log-") as work,
        proxy.run(logging, routers.ports, Path(work), log=True) as running,
    ):
        return _latency(latency.interleaved(running, logging, effort.log_rounds))


def _bursts(found: Sequence[throughput.Bursts]) -> Report:
    made: Report = {}
    for burst in found:
        made[burst.variant.name] = {
            "per_second": burst.median(burst.per_second).as_json(),
            "worker_us": burst.median(burst.worker_us).as_json(),
            "worker_busy": float(np.median(burst.worker_busy)),
            "client_us": float(np.median(burst.client_us)),
            "routers_us": float(np.median(burst.routers_us)),
        }
    return made


def _sum(found: Sequence[throughput.Bursts], effort: Effort) -> Report:
    return {
        "connections": len(found) * (effort.bursts + 1) * effort.burst,
        "misroutes": sum(burst.misroutes for burst in found),
        "unanswered": sum(burst.unanswered for burst in found),
    }


def _rate(rate: open_loop.Rate, names: Sequence[str]) -> Report:
    return _statistics(names, rate.table) | {
        "share": rate.share,
        "per_second": rate.per_second,
        "late_p99_us": rate.late_p99_ns / 1000,
        "worker_busy": rate.worker_busy,
        "misroutes": rate.misroutes,
        "unanswered": rate.unanswered,
        "connections": rate.table.size,
    }


def _guest(engine: str, chosen: Sequence[Variant], rounds: int, progress: Callable[[float], None]) -> Report:
    made: Report = {}
    for index, variant in enumerate(chosen):
        times = engines.measure(engine, variant, rounds)
        made[variant.name] = {
            name: interval(
                float(np.median(values)),
                bootstrap(np.array(values)[:, None], lambda column: np.median(column, keepdims=True)),
            ).as_json()
            for name, values in times.items()
        }
        progress((index + 1) / len(chosen))
    return made


def _starts(
    chosen: Sequence[Variant], routers: load.Routers, effort: Effort, progress: Callable[[float], None]
) -> tuple[Report, Report]:
    """The median of some starts, for each number of workers; and how many of their connections went wrong."""
    made: Report = {variant.name: {} for variant in chosen}
    runs: dict[tuple[str, int], list[startup.Start]] = {}
    order = [(repeat, workers, v) for repeat in range(effort.starts) for workers in effort.workers for v in chosen]
    for index, (_, workers, variant) in enumerate(order):
        runs.setdefault((variant.name, workers), []).append(startup.start(variant, routers, workers))
        progress((index + 1) / len(order))
    for (name, workers), starts in runs.items():
        made[name][str(workers)] = {
            field: [float(function([getattr(start, field) for start in starts])) for function in (np.median, min, max)]
            for field in ("seconds", "cpu_seconds", "resident", "anonymous", "peak")
        }
    few, many = (str(workers) for workers in (effort.workers[0], effort.workers[-1]))
    for by_workers in made.values():
        more = int(many) - int(few)
        grown = by_workers[many]["anonymous"][0] - by_workers[few]["anonymous"][0]
        by_workers["per_worker"] = grown / more
    return made, {count: sum(getattr(one, count) for starts in runs.values() for one in starts) for count in COUNTS}


def run(effort: Effort, quick: bool, out: Path, more: Sequence[Variant], workspace: Path | None) -> Report:
    """Measures everything and returns the report's data; raises EnvoyError, LoadError or GuestError if something does not run."""
    variants = [*VARIANTS, *more]
    proxied = [variant for variant in variants if variant.proxied]
    modules = [variant for variant in variants if variant.module]
    progress = Progress(5 + len(open_loop.SHARES) + len(engines.ENGINES) + effort.build)
    others = machine.Others()
    report: Report = {
        "format": FORMAT,
        "quick": quick,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "effort": dataclasses.asdict(effort),
        "machine": machine.facts(),
        "versions": machine.versions(workspace),
        "variants": {v.name: {"title": v.title, "beyond": v.beyond, "adds": v.adds} for v in variants},
        "modules": {},
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as name, load.routers() as routers:
        work = Path(name)
        for variant in modules:
            assert variant.module
            report["modules"][variant.name] = dataclasses.asdict(sizes.measure(proxy.binary(variant.module, work)))
        with progress.stage(f"latency, {effort.rounds} interleaved rounds, by pytest-benchmark"):
            measured = _with_pytest_benchmark(out, effort, more)
            report["latency"] = _latency(measured) | {"others": others.share(), "client_busy": measured.client_busy}
        with progress.stage(f"latency with the log on, {effort.log_rounds} rounds"):
            report["latency_log"] = _log(routers, effort)
        with progress.stage("Envoy compiles the modules"):
            stack = contextlib.ExitStack()
            running = stack.enter_context(proxy.run(variants, routers.ports, work))
        with stack:
            with progress.stage("processor time and saturation") as told:
                found = throughput.bursts(running, variants, routers, effort.bursts, effort.burst, told)
                report["throughput"] = _bursts(found)
                twice = throughput.two_clients(running, BASELINE, effort.bursts, effort.burst)
                report["two_clients"] = twice.as_json()
            knee = min(report["throughput"][variant.name]["per_second"][0] for variant in proxied)
            report["open_loop"] = {"knee": knee, "rates": []}
            for share in open_loop.SHARES:
                with progress.stage(f"open loop at {share:.0%} of the knee") as told:
                    rate = open_loop.at_rate(running, variants, share, knee, effort.slices, effort.slice_seconds, told)
                    report["open_loop"]["rates"].append(_rate(rate, [v.name for v in variants]))
        report["guest"] = {}
        for engine in engines.ENGINES:
            with progress.stage(f"guest time in {engine}") as told:
                report["guest"][engine] = _guest(engine, modules, effort.guest_rounds, told)
        with progress.stage("start-up and memory") as told:
            report["startup"], started = _starts(proxied, routers, effort, told)
        for variant in modules:
            assert variant.module
            if sizes.measure(proxy.binary(variant.module, work)).sha256 != report["modules"][variant.name]["sha256"]:
                raise load.LoadError(f"{variant.name} was built anew while it was measured; run the report again")
    parts = [report["latency"], report["latency_log"], *report["open_loop"]["rates"], _sum(found, effort), started]
    for count in COUNTS:
        report[count] = sum(part[count] for part in parts)
    report["others"] = others.share()
    if effort.build and workspace:
        with progress.stage("build, cold and warm") as told:
            try:
                report["build"] = build_time.measure(workspace, lambda step: told(0.8 if step == "warm" else 0.1))
            except build_time.BuildError as error:
                report["build"] = {"error": str(error)}
    report["verdict"] = verdict.sentences(report)
    return report


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Measures, writes the report and returns the exit status: 1 if a connection was misrouted or had no reply."""
    parser = argparse.ArgumentParser(prog="report", description="Measures what Python in the data path costs.")
    parser.add_argument(
        "--quick", action="store_true", help="about two minutes instead of fifteen; wider intervals, no build"
    )
    parser.add_argument("--out", default=DIRECTORY, help=f"where to write to (default: {DIRECTORY} in the workspace)")
    add_options(parser, variants=False)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    workspace = os.environ.get("PROXY_WASM_WORKSPACE")
    here = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ""))
    out = (Path(workspace) if workspace and options.out == DIRECTORY else here) / options.out
    more = chosen(options)[len(VARIANTS) :]
    out.mkdir(parents=True, exist_ok=True)
    report = run(QUICK if options.quick else FULL, options.quick, out, more, Path(workspace) if workspace else None)
    for line in render.write(report, out):
        print(line)
    print(f"\nthe report: {out / 'report.html'}, report.md and report.json beside it", flush=True)
    return 1 if report["misroutes"] or report["unanswered"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nreport: ended, nothing written")
    except (EnvoyError, load.LoadError, engines.GuestError, ValueError, OSError) as error:
        sys.exit(f"report: {error}")
