"""The soak of the whole product: `./bazelw run //tests/load:product`, or with `-- --scale 0.01` a short one."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.load import product, product_report, report, requests, soak

_EVERY_SECONDS = 10.0


class _Progress:
    """Prints a line now and then."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, sample: soak.Sample, held: int, came: product.Came) -> None:
        if time.monotonic() < self.last + _EVERY_SECONDS:
            return
        self.last = time.monotonic()
        print(
            f"{sample.seconds:6.0f} s  {held:,} held, {sample.connections:,} in a row, {sum(came.requests.values()):,} requests,"
            f" {came.configurations} configurations, {came.modules} modules, {came.traps} traps,"
            f" resident {sample.resident // report.MEGABYTE} MiB",
            flush=True,
        )


def main() -> None:
    """Does all of it at once, prints the table and the curve; exits with 1 if anything was lost, or if memory grew."""
    parser = argparse.ArgumentParser(
        prog="product", description="Everything that the product does, at once and for long."
    )
    parser.add_argument("--scale", type=float, default=1.0, help="0.01 is a hundredth of everything")
    parser.add_argument("--plot", type=Path, default=Path("product.svg"), help="where to draw memory, in the workspace")
    options = parser.parse_args()
    if not requests.available():
        sys.exit(f"product: {requests.CLIENT} is not installed: tools/debian-install nghttp2-client")
    amounts = product.Amounts.scaled(options.scale)
    with tempfile.TemporaryDirectory(prefix="product-") as work:
        came = product.run(Path(work), amounts, _Progress())
    print("\n".join(report.curve(came.soaked)), end="\n\n")
    for name, value in product_report.table(came).items():
        print(f"| {name} | {value} |")
    path = Path(os.environ.get("PROXY_WASM_WORKSPACE", "")) / options.plot
    product_report.plot(came, path)
    print(f"\nthe curve is in {path}")
    if wrong := product_report.complaints(came, amounts):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
