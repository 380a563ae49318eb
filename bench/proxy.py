"""One Envoy with a listener for each variant, and what the kernel says about its threads."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wasmtime

from bench.variants import Variant
from envoy import configuration, process

ROUTERS = ("egress-router1", "egress-router2")
_MANY = 1_000_000
STRUCT = "type.googleapis.com/google.protobuf.Struct"
"""The type of a configuration that is rules."""
_FIRST_WORKER = "wrk:worker_0"


@dataclass
class Proxy:
    """A running Envoy and the port of each variant, that of the first router for a variant without a proxy."""

    envoy: process.Envoy
    ports: dict[str, int]

    def thread_cpu(self, name: str) -> int:
        """Returns the nanoseconds that the threads of a name prefix have been on a processor, by the scheduler's own accounting."""
        return thread_cpu(self.envoy.process.pid, name)

    def worker(self) -> int:
        """Returns the number of the first worker's thread."""
        tasks = Path(f"/proc/{self.envoy.process.pid}/task").iterdir()
        return next(int(task.name) for task in tasks if (task / "comm").read_text().startswith(_FIRST_WORKER))

    @contextlib.contextmanager
    def worker_alone(self) -> Iterator[int]:
        """Keeps the first worker on one processor until the block is over, and yields that processor's number."""
        worker = self.worker()
        before = os.sched_getaffinity(worker)
        processor = max(before)
        os.sched_setaffinity(worker, {processor})
        try:
            yield processor
        finally:
            os.sched_setaffinity(worker, before)


def thread_cpu(pid: int, name: str) -> int:
    """Returns the nanoseconds that a process's threads of a name prefix have been on a processor; "" means all threads."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            if (task / "comm").read_text().startswith(name):
                total += int((task / "schedstat").read_text().split()[0])
    return total


def binary(module: Path, work: Path) -> Path:
    """Returns the path of a module in binary form: its own, or of what its text was assembled to."""
    if module.suffix != ".wat":
        return module.absolute()
    assembled = work / f"{module.stem}.wasm"
    assembled.write_bytes(wasmtime.wat2wasm(module.read_text()))
    return assembled


def configured(variants: Sequence[Variant], routers: dict[str, int], work: Path) -> configuration.Configuration:
    """Returns Envoy's configuration: that of `envoy.yaml`, its chains on a listener for each variant, and no access log."""
    made = configuration.for_loopback(Path(), routers, Path())
    resources = made["static_resources"]
    wasm, tcp_proxy = configuration.listener(made, configuration.MAIN)["filter_chains"][0]["filters"]
    del tcp_proxy["typed_config"]["access_log"]
    baseline = configuration.listener(made, configuration.BASELINE)
    resources["listeners"] = []
    for variant in variants:
        if not variant.proxied:
            continue
        front: list[dict[str, Any]] = []
        if variant.network_filter:
            front = [variant.network_filter]
        elif variant.module:
            front = [copy.deepcopy(wasm)]
            plugin = front[0]["typed_config"]["config"]
            vm = plugin["vm_config"]
            if variant.rules:
                plugin["configuration"] = {"@type": STRUCT, "value": variant.rules}
            vm["vm_id"] = variant.name
            vm["code"] = {"local": {"filename": str(binary(variant.module, work))}}
        chain = [{"filters": [*front, tcp_proxy]}]
        resources["listeners"].append(baseline | {"name": variant.name, "filter_chains": chain})
    for cluster in resources["clusters"]:
        # The default of 1,024 connections would close some at the rates that are measured here.
        limits = {"max_connections": _MANY, "max_pending_requests": _MANY, "max_requests": _MANY}
        cluster["circuit_breakers"] = {"thresholds": [limits]}
    return made


@contextlib.contextmanager
def run(
    variants: Sequence[Variant], routers: dict[str, int], work: Path, workers: int = 1, log: bool = False
) -> Iterator[Proxy]:
    """Runs Envoy at log level warn with a listener for each variant; with `log`, Wasm's own log is at level info."""
    arguments = ["--component-log-level", "wasm:info"] if log else []
    made = configured(variants, routers, work)
    with process.run(made, work, workers, "warn", arguments=arguments) as envoy:
        ports = {name: port for name, (_, port) in envoy.listeners.items()}
        yield Proxy(envoy, {v.name: ports[v.name] if v.proxied else routers[ROUTERS[0]] for v in variants})
