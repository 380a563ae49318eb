"""Memory over many requests: `./bazelw run //tests/load:requests -- --requests 1000000`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.load import requests


def main() -> None:
    """Makes requests on each path and prints what came of them; exits with 1 if anything was wrong, or if memory grew."""
    parser = argparse.ArgumentParser(prog="requests", description="Takes requests through filters, on every path.")
    parser.add_argument("--requests", type=int, default=1_000_000, help="how many on each path")
    options = parser.parse_args()
    if not requests.available():
        sys.exit(f"requests: {requests.CLIENT} is not installed: tools/debian-install nghttp2-client")
    with tempfile.TemporaryDirectory(prefix="requests-") as work:
        found = requests.run(Path(work), options.requests, lambda came: print(f"{came.path} ...", flush=True))
    print("\n".join(requests.table(found)))
    if wrong := requests.complaints(found):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
