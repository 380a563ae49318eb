"""The report in plain words, computed from its numbers."""

from __future__ import annotations

from bench.measure.memory import MEGABYTE
from bench.measure.startup import fewest
from bench.reporting import Report, busy, requests, workloads

NOISY = 0.10
"""An interval of the main ratio wider than this says nothing that is worth a sentence."""


def _times(bounds: list[float], what: str) -> str:
    """Says a ratio to something, and no more than its interval allows."""
    text = f"{bounds[0]:.3f} times [{bounds[1]:.3f}, {bounds[2]:.3f}] as long as {what}"
    return f"{text}, which may be no difference at all" if bounds[1] <= 1 <= bounds[2] else text


def sentences(report: Report) -> list[str]:
    """Returns the verdict, a sentence or two for each question that a reader has."""
    return [
        _correct(report),
        _latency(report),
        *busy.sentences(report),
        _throughput(report),
        _start(report),
        _native(report),
        *workloads.sentences(report),
        *requests.sentences(report),
        *_doubts(report),
    ]


def _correct(report: Report) -> str:
    if report["misroutes"] or report["unanswered"]:
        return (
            f"Not correct: of {report['connections']:,} connections {report['misroutes']:,} reached the wrong router and "
            f"{report['unanswered']:,} had no answer. No number below counts until that is mended."
        )
    return (
        f"All {report['connections']:,} connections, even and odd sources mixed, reached the router that they had to."
    )


def _latency(report: Report) -> str:
    found = report["latency"]
    python, baseline, floor = (found["values"][name]["p50"][0] for name in ("python", "baseline", "floor"))
    return (
        f"Setting up a connection through the Python filter takes {python:.0f} µs at the median, {python - baseline:.0f} µs more than "
        f"without it: {_times(found['ratios']['python']['p50'], 'tcp_proxy alone')}. Any Wasm filter with the same host calls would take "
        f"{floor - baseline:.0f} µs of that; it takes {_times(found['python_to_floor'], 'such a one written by hand')}."
    )


def _throughput(report: Report) -> str:
    found = report["throughput"]
    python, baseline = found["python"], found["baseline"]
    # What a worker that nobody disturbs could take follows from its processor time: the rates may be another's doing (see _doubts).
    full = [f"{1e6 / one['worker_us'][0]:,.0f}" for one in (python, baseline)]
    rate = found["python"].get("to_floor")  # of older reports there is none
    return (
        f"A worker spends {python['worker_us'][0]:.0f} µs of processor time on a connection instead of "
        f"{baseline['worker_us'][0]:.0f} µs, so that a processor of its own is full at {full[0]} connections a second instead of "
        f"{full[1]}. Bursts reached {python['per_second'][0]:,.0f} and {baseline['per_second'][0]:,.0f} here. What a connection carries "
        "afterwards costs nothing more: the filter looks at no data."
        + (
            f" At saturation it has {rate[0]:.3f} [{rate[1]:.3f}, {rate[2]:.3f}] of the floor's connections a second."
            if rate
            else ""
        )
    )


def _start(report: Report) -> str:
    few = fewest(report["startup"]["python"])
    python, baseline = report["startup"]["python"], report["startup"]["baseline"]
    one, without, rested = python[few], baseline[few], report.get("at_rest")
    return (
        f"The price is paid at the start: Envoy is ready after {one['seconds'][0]:.1f} s and {one['cpu_seconds'][0]:.1f} s of processor "
        f"time instead of {without['seconds'][0]:.1f} s and {without['cpu_seconds'][0]:.1f} s, and takes "
        f"{one['resident'][0] / MEGABYTE:.0f} MB of memory with {few} worker{'s' if few != '1' else ''} instead of "
        f"{without['resident'][0] / MEGABYTE:.0f} MB, and {python['per_worker'] / MEGABYTE:.0f} MB for each worker more."
        + (f" At rest it takes {rested['python']['resident'] / MEGABYTE:.0f} MB." if rested else "")
    )


def _native(report: Report) -> str:
    found, start = report["latency"], report["startup"]["native"]
    few = fewest(start)
    native = found["ratios"]["native"]["p50"]
    return (
        "When native routing is enough: if the rule is one expression over the connection's properties, as parity is, Envoy's own "
        f"set_filter_state with CEL does it, {_times(native, 'tcp_proxy alone')}, ready in "
        f"{start[few]['seconds'][0]:.1f} s, in {start[few]['resident'][0] / MEGABYTE:.0f} MB. Take that. Python is for the rule that "
        "outgrows an expression: tables, state, time, calls to other services, metrics of its own, and tests."
    )


def _doubts(report: Report) -> list[str]:
    doubts = []
    python = report["latency"]["ratios"]["python"]["p50"]
    if python[2] - python[1] > NOISY * python[0]:
        doubts.append(
            f"This machine was too noisy: the main ratio is only known to lie between {python[1]:.3f} and {python[2]:.3f}. Run the "
            "report again when it is quiet, or without --quick."
        )
    if report["others"] > 0.05:
        doubts.append(
            f"Other programs had {report['others']:.0%} of the machine meanwhile. Ratios survive that; the times, and above all "
            "p99 and p99.9, are higher than on a quiet machine."
        )
    idle = [name for name, found in report["throughput"].items() if name != "direct" and found["worker_busy"] < 0.85]
    if idle:
        doubts.append(
            f"In the bursts Envoy's worker was on a processor for less than 85 % of the time ({', '.join(idle)}): the client, the "
            "routers or other programs set the pace there, and the knee is this machine's and not the worker's."
        )
    return doubts
