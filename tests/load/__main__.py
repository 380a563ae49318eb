"""The long soak: `./bazelw run //tests/load:soak -- --connections 1000000`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.load import report, soak


def _progress(sample: soak.Sample, held: int) -> None:
    if sample.connections or sys.stdout.isatty():
        print(
            f"{sample.seconds:6.0f} s  {held:,} held, {sample.connections:,} in a row,"
            f" resident {sample.resident // report.MEGABYTE} MiB",
            flush=True,
        )


def main() -> None:
    """Reads the command line, runs the soak, prints the table and the curve; exits with 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="soak", description="Connects to Envoy, again and again.")
    parser.add_argument("--connections", type=int, default=1_000_000, help="how many come in a row")
    parser.add_argument("--concurrent", type=int, default=20_000, help="how many are held, where the machine allows it")
    parser.add_argument("--plot", type=Path, default=Path("soak.svg"), help="where to draw memory, in the workspace")
    options = parser.parse_args()
    print("Envoy starts; four workers compile the module first", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as work:
        result = soak.run(Path(work), options.connections, options.concurrent, _progress)
    print("\n".join(report.curve(result)), end="\n\n")
    for name, value in report.table(result).items():
        print(f"| {name} | {value} |")
    path = Path(os.environ.get("PROXY_WASM_WORKSPACE", "")) / options.plot
    report.plot(result, path)
    print(f"\nthe curve is in {path}")
    wrong = soak.complaints(result)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
