"""The desktop's side: a Python that runs the workloads. A line asks for one, and a line answers with its nanoseconds."""

from __future__ import annotations

import json
import platform
import sys
import time

from bench.workloads.suite import WORKLOADS, asked, repeat


def main() -> None:
    """Says which Python this is, and then answers until its input ends."""
    print(
        json.dumps([platform.python_implementation(), platform.python_version(), platform.python_compiler()]),
        flush=True,
    )
    for line in sys.stdin:
        number, times = asked(int(line))
        workload = WORKLOADS[number]
        started = time.perf_counter_ns()
        repeat(workload, times)
        print(time.perf_counter_ns() - started, flush=True)


if __name__ == "__main__":
    main()
