"""Runs every benchmark and writes the report: `./bazelw run //bench:report`, `-- --quick` for about eight minutes."""

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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bench import load, proxy
from bench.guest import engines
from bench.http import client
from bench.http import run as http
from bench.http.measure import FULL as HTTP_FULL
from bench.http.measure import QUICK as HTTP_QUICK
from bench.http.measure import Effort as HttpEffort
from bench.measure import (
    build_time,
    busy,
    held,
    instructions,
    latency,
    lines,
    machine,
    memory,
    open_loop,
    plugins,
    reload,
    sizes,
    startup,
    throughput,
)
from bench.reporting import busy as busy_part
from bench.reporting import figures, publish, render, verdict
from bench.reporting.compare import FORMAT
from bench.reporting.figures import COUNTS, Draft
from bench.reporting.progress import Progress
from bench.variants import APART, BASELINE, FLOOR, HEAVY, PYTHON, RULES, VARIANTS, Variant, add_options, chosen
from bench.workloads import run as workloads
from bench.workloads.measure import WorkloadError
from envoy.process import EnvoyError

DIRECTORY = "bench-report"
Told = Callable[[float], None]
"""Takes the share of a stage that is done."""


@dataclass(frozen=True)
class Effort:
    """How long is measured."""

    rounds: int
    """Interleaved rounds of a connection to each variant."""

    log_rounds: int
    """The same with the log on."""

    rules_rounds: int
    """The same with 256 rules, without and with names."""

    busy_rounds: int
    """The same with something else in the worker's caches, of a connection to each variant in every regime."""

    bursts: int
    """Bursts of connections at saturation."""

    burst: int
    """Connections of a burst."""

    slices: int
    """Slices of an open loop, at each rate."""

    slice_seconds: float
    """How long a slice takes."""

    held: int
    """Connections that are opened and held."""

    guest_rounds: int
    """Rounds of a callback in an engine without a proxy."""

    traps: int
    """Traps, after each of which a connection waits for a new VM."""

    starts: int
    """Starts of Envoy, for each variant and number of workers."""

    rest_seconds: float
    """How long Envoys rest before their memory is looked at once more."""

    workers: tuple[int, ...]
    """Numbers of workers that Envoy is started with."""

    build: bool
    """Whether builds are measured too."""

    plugins: tuple[plugins.Setting, ...]
    """Settings of many plugins in one Envoy."""

    workload_rounds: int
    """Rounds of a workload of Python in the module and on a desktop."""

    http: HttpEffort
    """The same for requests."""


QUICK = Effort(
    rounds=3000,
    log_rounds=1500,
    rules_rounds=1500,
    busy_rounds=1000,
    bursts=64,
    burst=400,
    slices=4,
    slice_seconds=0.25,
    held=9500,
    guest_rounds=40,
    traps=20,
    starts=1,
    rest_seconds=90,
    workers=(1, 2),
    build=False,
    plugins=plugins.QUICK,
    workload_rounds=40,
    http=HTTP_QUICK,
)
FULL = Effort(
    rounds=30000,
    log_rounds=10000,
    rules_rounds=10000,
    busy_rounds=10000,
    bursts=60,
    burst=500,
    slices=12,
    slice_seconds=0.25,
    held=9500,
    guest_rounds=200,
    traps=60,
    starts=3,
    rest_seconds=90,
    workers=(1, 2, 4),
    build=True,
    plugins=plugins.FULL,
    workload_rounds=200,
    http=HTTP_FULL,
)


def _with_pytest_benchmark(out: Path, effort: Effort, more: Sequence[Variant]) -> latency.Rounds:
    """Runs latency_benchmarks.py, pytest-benchmark's own run; its JSON and histogram go to `out`."""
    rounds = out / "rounds.npz"
    rounds.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-S",
        "-m",
        "pytest",
        "bench/measure/latency_benchmarks.py",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
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


def _apart(
    compared: Sequence[Variant], routers: load.Routers, rounds: int, subject: Variant = PYTHON, log: bool = False
) -> Draft:
    """Measures some variants in an Envoy of their own, and holds one to the floor; with `log`, what logs a line logs it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-apart-") as work,
        proxy.run(compared, routers.ports, Path(work), log=log) as running,
    ):
        return figures.of_latency(latency.interleaved(running, compared, rounds), subject)


_WORKERS = 2


def _two_workers(routers: load.Routers, effort: Effort) -> tuple[Draft, Draft]:
    """Measures saturation with more than one worker; returns its figures, and how many connections it made."""
    compared = [BASELINE, FLOOR, PYTHON]
    with (
        tempfile.TemporaryDirectory(prefix="bench-workers-") as work,
        proxy.run(compared, routers.ports, Path(work), workers=_WORKERS) as running,
    ):
        found = throughput.bursts(running, compared, routers, effort.bursts, effort.burst)
    return figures.of_bursts(found), figures.sum_of_bursts(found, (effort.bursts + 1) * effort.burst)


def _guest(engine: str, chosen: Sequence[Variant], rounds: int, told: Told) -> Draft:
    made: Draft = {}
    for index, variant in enumerate(chosen):
        made[variant.name] = figures.of_guest(engines.measure(engine, variant, rounds))
        told((index + 1) / len(chosen))
    return made


def _starts(
    chosen: Sequence[Variant], routers: load.Routers, effort: Effort, told: Told
) -> dict[tuple[str, int], list[startup.Start]]:
    """Starts Envoy with each variant and number of workers, in turns."""
    runs: dict[tuple[str, int], list[startup.Start]] = {}
    order = [(repeat, workers, v) for repeat in range(effort.starts) for workers in effort.workers for v in chosen]
    for index, (_, workers, variant) in enumerate(order):
        runs.setdefault((variant.name, workers), []).append(startup.start(variant, routers, workers))
        told((index + 1) / len(order))
    return runs


def _facts(effort: Effort, quick: bool, variants: Sequence[Variant], workspace: Path | None) -> Draft:
    """Returns what a report says before anything is measured."""
    return {
        "format": FORMAT,
        "quick": quick,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "effort": dataclasses.asdict(effort),
        "machine": machine.facts(),
        "versions": machine.versions(workspace),
        "variants": {v.name: {"title": v.title, "beyond": v.beyond, "adds": v.adds} for v in variants},
    }


def _modules(variants: Sequence[Variant], work: Path) -> Draft:
    """Returns the size and digest of every variant that is a module."""
    return {v.name: dataclasses.asdict(sizes.measure(proxy.binary(v.module, work))) for v in variants if v.module}


def _in_one_envoy(
    variants: Sequence[Variant], routers: load.Routers, effort: Effort, work: Path, progress: Progress
) -> tuple[Draft, list[Draft]]:
    """Measures what wants all variants in one Envoy; returns its part of the report, and what counted connections."""
    report: Draft = {}
    with progress.stage("Envoy compiles the modules"):
        stack = contextlib.ExitStack()
        running = stack.enter_context(proxy.run(variants, routers.ports, work))
    with stack:
        with progress.stage(f"latency where caches are in use, {effort.busy_rounds} rounds"):
            routed = [variant for variant in variants if variant.proxied]
            report["busy"] = busy_part.figures(busy.measure(running, routed, effort.busy_rounds))
        with progress.stage("cache lines of a connection"):
            report["lines"] = lines.part(running, variants)
        with progress.stage("processor time and saturation") as told:
            found = throughput.bursts(running, variants, routers, effort.bursts, effort.burst, told)
            report["throughput"] = figures.of_bursts(found)
            report["two_clients"] = throughput.two_clients(running, BASELINE, effort.bursts, effort.burst).as_json()
        knee = min(report["throughput"][v.name]["per_second"][0] for v in variants if v.proxied)
        rates = []
        for share in open_loop.SHARES:
            with progress.stage(f"open loop at {share:.0%} of the knee") as told:
                rate = open_loop.at_rate(running, variants, share, knee, effort.slices, effort.slice_seconds, told)
                rates.append(figures.of_rate(rate, [v.name for v in variants]))
        report["open_loop"] = {"knee": knee, "rates": rates}
    return report, [report["busy"], *rates, figures.sum_of_bursts(found, (effort.bursts + 1) * effort.burst)]


def _build(workspace: Path, told: Told) -> Draft:
    try:
        return build_time.measure(workspace, lambda step: told(0.8 if step == "warm" else 0.1))
    except build_time.BuildError as error:
        return {"error": str(error)}


def run(
    effort: Effort,
    quick: bool,
    out: Path,
    more: Sequence[Variant],
    workspace: Path | None,
    python: str | None = None,
) -> Draft:
    """Measures everything and returns the report's data.

    `python` is the desktop's, if it is not on the path. Raises EnvoyError, LoadError, GuestError or WorkloadError if something does
    not run.
    """
    variants = [*VARIANTS, *more]
    modules = [variant for variant in variants if variant.module]
    progress = Progress(17 + len(open_loop.SHARES) + len(engines.ENGINES) + effort.build)
    others = machine.Others()
    report = _facts(effort, quick, variants, workspace)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, load.routers() as routers:
        work = Path(name)
        report["modules"] = _modules(variants, work)
        with progress.stage(f"latency, {effort.rounds} interleaved rounds, by pytest-benchmark"):
            measured = _with_pytest_benchmark(out, effort, more)
            latencies = figures.of_latency(measured)
            report["latency"] = latencies | {"others": others.share(), "client_busy": measured.client_busy}
        with progress.stage(f"latency with the log on, {effort.log_rounds} rounds"):
            report["latency_log"] = _apart([BASELINE, FLOOR, PYTHON], routers, effort.log_rounds, log=True)
        with progress.stage(f"latency with 256 rules, {effort.rules_rounds} rounds"):
            report["latency_rules"] = _apart([BASELINE, FLOOR, *APART], routers, effort.rules_rounds, RULES)
        together, counted = _in_one_envoy(variants, routers, effort, work, progress)
        report |= together
        with progress.stage("instructions of a connection"):
            light = [variant for variant in modules if variant not in HEAVY]
            report["instructions"] = instructions.count(light, work)
        with progress.stage(f"memory of {effort.held} held connections"):
            report["held"] = held.measure(light, effort.held, work)
        with progress.stage(f"saturation with {_WORKERS} workers"):
            report["two_workers"], two_workers = _two_workers(routers, effort)
        report["guest"] = {}
        for engine in engines.ENGINES:
            with progress.stage(f"guest time in {engine}") as told:
                report["guest"][engine] = _guest(engine, modules, effort.guest_rounds, told)
        with progress.stage("start-up and memory") as told:
            starts = _starts([v for v in variants if v.proxied], routers, effort, told)
            report["startup"] = figures.of_starts(starts)
        with progress.stage(f"memory after {effort.rest_seconds:g} seconds at rest"):
            rested = memory.at_rest((BASELINE, FLOOR, PYTHON), routers, effort.rest_seconds, work)
            report["at_rest"] = {name: dataclasses.asdict(one) for name, one in rested.items()}
        with progress.stage("connections that wait for a new VM"):
            report["reload"] = {
                v.name: reload.measure(v, routers, effort.traps, work).as_json() for v in (FLOOR, PYTHON)
            }
        with progress.stage("many plugins in one Envoy") as told:
            report["plugins"] = plugins.measure(effort.plugins, routers, told)
        report["workloads"] = workloads.part(python, effort.workload_rounds, progress)
        report["http"] = http.part(effort.http, progress)
        for variant, module in _modules(variants, work).items():
            if module["sha256"] != report["modules"][variant]["sha256"]:
                raise load.LoadError(f"{variant} was built anew while it was measured; run the report again")
    counted += [
        two_workers,
        report["latency"],
        report["latency_log"],
        report["latency_rules"],
        figures.sum_of_starts(starts),
        *report["plugins"],
        *report["at_rest"].values(),
    ]
    report |= {count: sum(part[count] for part in counted) for count in COUNTS}
    report["others"] = others.share()
    if effort.build and workspace:
        with progress.stage("build, cold and warm") as told:
            report["build"] = _build(workspace, told)
    report["verdict"] = verdict.sentences(report)
    return report


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Measures, writes the report and returns the exit status: 1 if a connection was misrouted or had no reply."""
    parser = argparse.ArgumentParser(prog="report", description="Measures what Python in the data path costs.")
    parser.add_argument(
        "--quick", action="store_true", help="about eight minutes instead of thirty; wider intervals, no build"
    )
    parser.add_argument("--out", default=DIRECTORY, help=f"where to write to (default: {DIRECTORY} in the workspace)")
    parser.add_argument("--publish", action="store_true", help=f"write {publish.DATA} and {publish.PAGE} too")
    workloads.add_option(parser)
    add_options(parser, variants=False)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupted)
    workspace = os.environ.get("PROXY_WASM_WORKSPACE")
    if options.publish and not workspace:
        parser.error("--publish writes into the workspace, and none is known: use `./bazelw run //bench:report`")
    here = Path(os.environ.get("BUILD_WORKING_DIRECTORY", ""))
    out = (Path(workspace) if workspace and options.out == DIRECTORY else here) / options.out
    more = chosen(options)[len(VARIANTS) :]
    out.mkdir(parents=True, exist_ok=True)
    effort = QUICK if options.quick else FULL
    report = run(effort, options.quick, out, more, Path(workspace) if workspace else None, options.python)
    for line in render.write(report, out):
        print(line)
    if options.publish and workspace:
        publish.publish(report, Path(workspace))
    print(f"\nthe report: {out / 'report.html'}, report.md and report.json beside it", flush=True)
    return 1 if report["misroutes"] or report["unanswered"] or report["http"].get("wrong") else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nreport: ended, nothing written")
    except (
        EnvoyError,
        client.ClientError,
        load.LoadError,
        engines.GuestError,
        WorkloadError,
        ValueError,
        OSError,
    ) as error:
        sys.exit(f"report: {error}")
