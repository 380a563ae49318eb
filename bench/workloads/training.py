"""What the default training runs, and each workload: so what is measured is compiled, as a filter's own training would have it."""

from __future__ import annotations

from collections.abc import Iterator

from bench.workloads.suite import WORKLOADS, ask
from proxy_wasm.testing import training

_TIMES = 100


def train(module: bytes) -> Iterator[bytes]:
    """Yields the memory of a VM after connections and ticks, and of one after all workloads."""
    yield from training.train(module)
    vm = training.start(module)
    vm.start()
    training.configured(vm)
    for number in range(len(WORKLOADS)):
        vm.queue_ready(ask(number, _TIMES))
    yield vm.memory
