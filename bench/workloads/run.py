"""Measures the workloads alone: `./bazelw run //bench:workloads`; `--publish` puts the figures into docs/performance.md."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from bench.guest.engines import GuestError
from bench.reporting import publish, workloads
from bench.reporting.progress import Progress
from bench.workloads import measure

_ROUNDS = 200


def part(python: str | None, rounds: int, progress: Progress) -> dict[str, Any]:
    """Measures everything and returns the workloads' part of a report; one that says why, if there is no Python to measure against."""
    try:
        found = measure.find_python(python)
    except measure.NoPython as error:
        return {"error": str(error)}
    with progress.stage(f"workloads in the module and on a desktop, {rounds} rounds") as told:
        return workloads.figures(measure.measure(found, rounds, told=told))


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the desktop's Python."""
    parser.add_argument(
        "--python",
        help=f"the Python {measure.VERSION} to measure against (default: python{measure.VERSION} of the path)",
    )


def main() -> int:
    """Measures, prints the table, and returns the exit status: 2 if there is no Python to measure against."""
    parser = argparse.ArgumentParser(prog="workloads", description="Measures Python in the module and on a desktop.")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"interleaved rounds (default: {_ROUNDS})")
    parser.add_argument("--publish", action="store_true", help=f"put it into {publish.DATA} and {publish.PAGE}")
    add_option(parser)
    options = parser.parse_args()
    workspace = os.environ.get("PROXY_WASM_WORKSPACE")
    if options.publish and not workspace:
        parser.error("--publish writes into the workspace, and none is known: use `./bazelw run //bench:workloads`")
    made = part(options.python, options.rounds, Progress(1))
    if "error" in made:
        print(f"workloads: {made['error']}", file=sys.stderr)
        return 2
    for shown in workloads.tables({"workloads": made}):
        print(shown.as_text())
    print("\n".join(["", *workloads.sentences({"workloads": made})]))
    if options.publish and workspace:
        publish.publish_part("workloads", made, workloads.sentences, Path(workspace))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nworkloads: ended, nothing written")
    except (GuestError, measure.WorkloadError, OSError) as error:
        sys.exit(f"workloads: {error}")
