"""Runs the tests of //tests/envoy with other versions of Envoy: `./bazelw run //tests/versions`, about half an hour.

It writes `docs/versions.json`, and `docs/versions.md` of it. `--only VERSION` runs one version anew, and `--rows` some rows of it.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import sys
from pathlib import Path

from tests.versions.runs import NEWEST, ROWS, rows, run, unusable
from tests.versions.table import PAGE, RECORD, Record, missing, page, read, write


def processor() -> str:
    """Returns the processor's model, as the kernel names it."""
    found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else "an unnamed processor"


def main() -> int:
    """Runs the matrix; the exit status is 1 if a cell stayed empty, or if the newest version failed a test."""
    parser = argparse.ArgumentParser(prog="versions", description="Runs the tests with several versions of Envoy.")
    parser.add_argument("versions", nargs="+", help="the versions, oldest first")
    parser.add_argument("--only", action="append", help="run this version alone, and keep the others' cells")
    parser.add_argument("--rows", help=f"test files to run, with commas (default: {','.join(ROWS)})")
    options = parser.parse_args()
    workspace = Path(os.environ.get("PROXY_WASM_WORKSPACE", "."))
    kept = read((workspace / RECORD).read_text()) if (workspace / RECORD).is_file() else None
    made = Record(datetime.datetime.now(datetime.UTC).date().isoformat(), processor(), rows())
    if kept and (options.only or options.rows):
        made.versions, made.unusable = kept.versions, kept.unusable
    for version in options.only or options.versions:
        if why := unusable(version):
            made.unusable[version] = why
            continue
        for file in options.rows.split(",") if options.rows else [name for name in ROWS if name != "crashes"]:
            found = run(version, file)
            made.versions.setdefault(version, {}).update(found)
            print(f"{version}: {', '.join(f'{row} {cell}' for row, cell in found.items())}", flush=True)
            # What takes so long is not lost if it is interrupted.
            (workspace / RECORD).write_text(write(made))
    made.versions = {version: made.versions[version] for version in options.versions if version in made.versions}
    # A run of some rows has no others.
    made.rows = {row: says for row, says in made.rows.items() if any(row in cells for cells in made.versions.values())}
    (workspace / RECORD).write_text(write(made))
    (workspace / PAGE).write_text(page(made))
    empty = missing(made)
    failed = [row for row, cell in made.versions.get(NEWEST, {}).items() if cell.failed]
    print("\n".join([*(f"not run: {cell}" for cell in empty), *(f"{NEWEST} fails: {row}" for row in failed)]))
    return 1 if empty or failed else 0


if __name__ == "__main__":
    sys.exit(main())
