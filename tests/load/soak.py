"""Many connections through one Envoy, held and in a row, well-behaved and not: what was lost, and what memory did meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from envoy import configuration, memory, process, routers
from envoy.configuration import MAIN, PROXY_PROTOCOL
from tests.load.clients import DONE, LOST, MISROUTED, ROUTERS, Listeners, behave_oddly, hold, in_a_row

COUNTED = Path("tests/load/guests/counted.wasm").absolute()
WORKERS = 4
CLIENTS = 3
"""How many processes connect in a row, and how many hold connections."""
IMPATIENT = "impatient"
IDLE_SECONDS = 1
WARM_UP = 0.1
"""The part of the connections in a row after which memory must stay as it is."""

MAX_RESIDENT_GROWTH = 1.05

_FORK = multiprocessing.get_context("fork")
_SPARE_FILES = 1000
_SAMPLE_SECONDS = 1.0
_QUICKEST = 20_000
"""More connections a second than ever come: so each fifth of a short run has its samples too."""


@dataclass
class Sample:
    """Envoy's memory in bytes at one time: resident, and the linear memory of all VMs."""

    seconds: float
    connections: int
    resident: int
    linear: int


@dataclass
class Soaked:
    """What came of a soak."""

    held: int
    held_to_the_end: int = 0
    in_a_row: int = 0
    lost: int = 0
    misrouted: int = 0
    odd: dict[str, int] = field(default_factory=dict)
    odd_failures: list[str] = field(default_factory=list)
    contexts_created: int = 0
    contexts_deleted: int = 0
    errors: list[str] = field(default_factory=list)
    seconds: float = 0
    samples: list[Sample] = field(default_factory=list)

    @property
    def warm(self) -> list[Sample]:
        """The samples after warm-up."""
        return [sample for sample in self.samples if sample.connections >= WARM_UP * self.in_a_row]


def complaints(report: Soaked) -> list[str]:
    """Returns what is wrong with a soak, each in one line."""
    wrong = [f"odd client: {failure}" for failure in report.odd_failures] + report.errors
    if report.lost or report.misrouted:
        wrong.append(f"{report.lost} connections were lost, {report.misrouted} misrouted")
    if report.held_to_the_end != report.held:
        wrong.append(f"of {report.held} held connections {report.held_to_the_end} were there at the end")
    if report.contexts_created != report.contexts_deleted:
        wrong.append(f"{report.contexts_created} contexts were created, {report.contexts_deleted} deleted")
    first, *_, last = report.warm
    if max(sample.linear for sample in report.warm) != first.linear:
        wrong.append("linear memory grew after warm-up")
    if last.resident > first.resident * MAX_RESIDENT_GROWTH:
        wrong.append(f"resident memory grew after warm-up, from {first.resident} to {last.resident} bytes")
    return wrong


def possible(concurrent: int) -> int:
    """Returns how many connections Envoy can have at a time, at most as many as asked for: each takes two files.

    Raises the process's limit of open files, which its children inherit, as far as the machine lets it.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return concurrent if hard == resource.RLIM_INFINITY else min(concurrent, (hard - _SPARE_FILES) // 2)


def run(
    work: Path, connections: int, concurrent: int, progress: Callable[[Sample, int], None] = lambda sample, held: None
) -> Soaked:
    """Holds `concurrent` connections while `connections` more come in a row, and odd clients beside them; returns the report.

    `progress` is called about once a second. Raises EnvoyError if Envoy does not start, and RouterError if a backend does not.
    """
    report = Soaked(possible(concurrent))
    with _envoy(work) as envoy:
        load(envoy, connections, report, progress)
        count_contexts(envoy, connections, report)
    report.errors = error_lines(envoy)
    return report


def error_lines(envoy: process.Envoy) -> list[str]:
    """Returns the lines of Envoy's log that tell of an error."""
    return [line for line in envoy.log_lines() if "[error]" in line or "[critical]" in line]


def count_contexts(envoy: process.Envoy, connections: int, report: Soaked) -> None:
    """Waits until Envoy has noticed that the last clients are gone, at most a minute, and notes the contexts' counts."""
    deadline = time.monotonic() + 60
    while True:
        report.contexts_created = envoy.counter("wasmcustom.contexts.created")
        report.contexts_deleted = envoy.counter("wasmcustom.contexts.deleted")
        if report.contexts_created == report.contexts_deleted >= connections or time.monotonic() > deadline:
            break
        time.sleep(0.5)


def load(
    envoy: process.Envoy,
    connections: int,
    report: Soaked,
    progress: Callable[[Sample, int], None],
    others: Sequence[str] = (),
    beside: Sequence[Callable[[], object]] = (),
) -> None:
    """Does what `run` says, with an Envoy that runs. It connects to `others` in turn with the main listener, and calls `beside` meanwhile.

    Raises what one of these raises, once the connections have come.
    """
    main = envoy.listeners[MAIN]
    addresses = [main, *(envoy.listeners[name] for name in others)]
    listeners = Listeners(main, envoy.listeners[IMPATIENT], envoy.listeners[PROXY_PROTOCOL])
    started = time.monotonic()
    stop = _FORK.Event()
    holding = [_FORK.Array("Q", 3, lock=False) for _ in range(CLIENTS)]
    running = [_FORK.Array("Q", 3, lock=False) for _ in range(CLIENTS)]
    answers, answer = _FORK.Pipe()
    holders, orders = [], []

    def total(what: int, *groups: list[Any]) -> int:
        return sum(int(counts[what]) for group in groups for counts in group)

    def watch(processes: list[Any], threads: list[Future[object]]) -> None:
        while any(child.is_alive() for child in processes) or not all(thread.done() for thread in threads):
            pid = envoy.process.pid
            sample = Sample(
                time.monotonic() - started, total(DONE, running), memory.resident(pid), sum(memory.linear(pid))
            )
            report.samples.append(sample)
            progress(sample, total(DONE, holding))
            time.sleep(min(_SAMPLE_SECONDS, connections / _QUICKEST))

    for counts, (first, count) in zip(holding, _shares(report.held), strict=True):
        end, other_end = _FORK.Pipe()
        orders.append(end)
        holders.append(_FORK.Process(target=hold, args=(main, first, count, counts, other_end), daemon=True))
    odd = _FORK.Process(target=behave_oddly, args=(listeners, stop, answer), daemon=True)
    runners = [
        _FORK.Process(target=in_a_row, args=(address, first, count, counts), daemon=True)
        for address, counts, (first, count) in zip(
            itertools.cycle(addresses), running, _shares(connections), strict=False
        )
    ]
    for child in [*holders, odd]:
        child.start()
    while total(DONE, holding) < report.held:
        if not all(child.is_alive() for child in holders):
            raise RuntimeError("a process that holds connections ended; its error stands above")
        progress(Sample(time.monotonic() - started, 0, 0, 0), total(DONE, holding))
        time.sleep(0.5)
    for child in runners:
        child.start()
    # Threads come after the last fork.
    with ThreadPoolExecutor(len(beside) or 1) as pool:
        threads = [pool.submit(call) for call in beside]
        watch(runners, threads)
    stop.set()
    report.odd, report.odd_failures = answers.recv()
    for end in orders:
        end.send("do they echo?")
    report.held_to_the_end = sum(int(end.recv()) for end in orders)
    for child in [*holders, odd, *runners]:
        child.join()
    report.in_a_row = total(DONE, running)
    report.lost, report.misrouted = total(LOST, holding, running), total(MISROUTED, holding, running)
    report.seconds = time.monotonic() - started
    for thread in threads:
        thread.result()


def _shares(count: int) -> Iterator[tuple[int, int]]:
    """Gives each process its first number and how many follow."""
    for index in range(CLIENTS):
        first, end = count * index // CLIENTS, count * (index + 1) // CLIENTS
        yield first, end - first


@contextlib.contextmanager
def _envoy(work: Path) -> Iterator[process.Envoy]:
    # At level info the filter writes a line for each connection.
    with configured() as made, process.run(made, work, workers=WORKERS, log_level="warn") as envoy:
        yield envoy


@contextlib.contextmanager
def configured() -> Iterator[configuration.Configuration]:
    """Runs the routers, and gives a configuration for them with the listeners of a soak."""
    # Two processes for each router: one of them would be slower than Envoy, and has too few ports.
    with routers.run(ROUTERS, "tests.load.echo") as ports, routers.run(ROUTERS, "tests.load.echo") as more_ports:
        made = configuration.for_loopback(COUNTED, ports, Path("/dev/null"))
        configuration.plugin(made)["root_id"] = "counted"
        configuration.plugin(made, PROXY_PROTOCOL)["root_id"] = "counted"
        configuration.add_listener(made, IMPATIENT)
        tcp_proxy = configuration.listener(made, IMPATIENT)["filter_chains"][0]["filters"][1]["typed_config"]
        tcp_proxy["idle_timeout"] = f"{IDLE_SECONDS}s"
        for cluster in made["static_resources"]["clusters"]:
            configuration.add_endpoint(cluster, more_ports[cluster["name"]])
            # A SYN that the kernel drops is sent again, after one, three, seven seconds.
            cluster["connect_timeout"] = "60s"
            # Envoy's default is 1,024 connections to a cluster.
            cluster["circuit_breakers"] = {
                "thresholds": [{"max_connections": 1_000_000, "max_pending_requests": 1_000_000}]
            }
        yield made
