"""Runs proofs that are too slow for CI, and records each: `python3 -m proofs [NAME ...]`; without a name it lists them.

It needs nothing but Python, and runs in the repository's root. It exits with 1 if one of them failed.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import time
from pathlib import Path

from proofs import compatibility
from proofs.record import PAGE, PROOFS, RECORD, Proof, Run, page, read_proofs, read_runs, write_runs


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()

    # What the proof before this one recorded is no change of what is proved.
    others = [f":!{file}" for file in (RECORD, PAGE)]
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *others)
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "an unnamed processor"
    )


def prove(proof: Proof) -> Run:
    """Runs a proof's command, whose output goes where this program's goes, and returns what came of it."""
    commit, started = _commit(), time.monotonic()
    passed = subprocess.run(proof.command, shell=True, check=False).returncode == 0
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    return Run(date, commit, _processor(), round(time.monotonic() - started), passed)


def _recorded() -> dict[str, Run]:
    return read_runs(RECORD.read_text()) if RECORD.exists() else {}


def keep(name: str, run: Run) -> None:
    """Records a run, beside those that others have recorded since this one began."""
    RECORD.write_text(write_runs(_recorded() | {name: run}))


def write_pages() -> None:
    """Writes what is made of the record: the page of proofs, and that of compatibility."""
    runs = _recorded()
    PAGE.write_text(page(read_proofs(PROOFS.read_text()), runs))
    table = compatibility.read_table(compatibility.TABLE.read_text(), compatibility.read_facts())
    compatibility.COMPATIBILITY_PAGE.write_text(compatibility.page(table, runs))


def main() -> None:
    """Runs what the command line names, one after the other, and records each as soon as it has ended."""
    parser = argparse.ArgumentParser(prog="python3 -m proofs", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a proof of proofs/proofs.toml")
    names = parser.parse_args().names
    if not PROOFS.exists():
        sys.exit(f"error: no {PROOFS} here: run this in the repository's root")
    proofs = read_proofs(PROOFS.read_text())
    if unknown := set(names) - set(proofs):
        sys.exit(f"error: no such proof: {', '.join(sorted(unknown))}; there are: {', '.join(proofs)}")
    failed = []
    for name in names:
        print(f"proofs: {name}: {proofs[name].command}", file=sys.stderr, flush=True)
        run = prove(proofs[name])
        keep(name, run)
        failed += [] if run.passed else [name]
    write_pages()
    if not names:
        print("\n".join(f"{proof.name:12} {proof.says}" for proof in proofs.values()))
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed")


if __name__ == "__main__":
    main()
