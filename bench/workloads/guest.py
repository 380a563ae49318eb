"""The filter that runs the workloads: a queue's number says which, and how often."""

from __future__ import annotations

import proxy_wasm
from bench.workloads.suite import WORKLOADS, asked, repeat


class Root(proxy_wasm.RootContext):
    """Runs them."""

    def on_queue_ready(self, queue: int) -> None:
        """Runs a workload, and logs its result if it runs only once; a wrong result is an error in the log."""
        number, times = asked(queue)
        result = repeat(WORKLOADS[number], times)
        if times == 1:
            print(ascii(result))


proxy_wasm.register(Root)
