"""Measures HTTP filters alone: `./bazelw run //bench:requests -- --quick`; `--publish` puts the figures into docs/performance.md."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from pathlib import Path
from typing import Any

from bench.http import client, measure, steps
from bench.http.variants import VARIANTS
from bench.measure import machine
from bench.reporting import publish, requests
from bench.reporting.progress import Progress
from envoy.process import EnvoyError


def part(effort: measure.Effort, progress: Progress) -> dict[str, Any]:
    """Measures everything and returns HTTP's part of a report; one that says why, if the client is not installed."""
    try:
        client.program()
    except client.ClientError as error:
        return {"error": str(error)}
    others = machine.Others()
    with progress.stage(f"requests, {effort.rounds} rounds with each of {effort.workers} workers") as told:
        settings = measure.everything(effort, VARIANTS, told)
    with progress.stage("instructions of a request"):
        counted = steps.count(VARIANTS)
    made = requests.figures(settings, counted, effort)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return made | {"time": now, "others": others.share()}


def main() -> int:
    """Measures, prints the tables, and returns the exit status: 1 if a request had a wrong answer, 2 if nothing was measured."""
    parser = argparse.ArgumentParser(prog="requests", description="Measures what HTTP filters cost Envoy's worker.")
    parser.add_argument("--quick", action="store_true", help="about three minutes instead of fifteen")
    parser.add_argument("--publish", action="store_true", help=f"put it into {publish.DATA} and {publish.PAGE}")
    options = parser.parse_args()
    workspace = os.environ.get("PROXY_WASM_WORKSPACE")
    if options.publish and not workspace:
        parser.error("--publish writes into the workspace, and none is known: use `./bazelw run //bench:requests`")
    made = part(measure.QUICK if options.quick else measure.FULL, Progress(2))
    if "error" in made:
        print(f"requests: {made['error']}", file=sys.stderr)
        return 2
    print(requests.as_text(made))
    print("\n".join(["", *requests.sentences({"http": made})]))
    print(f"others had {made['others']:.0%} of the processors meanwhile")
    if options.publish and workspace:
        publish.publish_part("http", made, requests.sentences, Path(workspace))
    return 1 if made["wrong"] else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nrequests: ended, nothing written")
    except (EnvoyError, client.ClientError, OSError) as error:
        sys.exit(f"requests: {error}")
