"""What a run of a proof leaves behind, and the page that shows the last run of each."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PROOFS = Path("proofs/proofs.toml")
RECORD = Path("proofs/record.json")
PAGE = Path("docs/proofs.md")

_HEAD = """\
# Slow proofs

<!-- Generated from proofs/record.json by `python3 -m proofs`: do not edit. -->

CI takes less than forty minutes. What takes longer is proved by commands of their own. This page has the last run of each.
`python3 -m proofs NAME` runs one again and records it, passed or failed.
"""


@dataclass(frozen=True)
class Proof:
    """A command that is too slow for CI."""

    name: str
    """What `python3 -m proofs` calls it."""

    says: str
    """What holds if the command succeeds: a sentence."""

    command: str
    """A line for the shell, run in the repository's root."""


@dataclass(frozen=True)
class Run:
    """The last run of a proof."""

    date: str
    """The day, as ISO 8601 writes it."""

    commit: str
    """The abbreviated commit that ran, with `+` if the tree had changes."""

    processor: str
    """The processor's model, as the kernel names it."""

    seconds: int
    """How long it took."""

    passed: bool
    """Whether the command succeeded."""


def read_proofs(text: str) -> dict[str, Proof]:
    """Reads the table of proofs, by name; raises KeyError if a row lacks a value."""
    return {name: Proof(name, row["says"], row["command"]) for name, row in tomllib.loads(text).items()}


def read_runs(text: str) -> dict[str, Run]:
    """Reads the record, by the proof's name."""
    return {name: Run(**run) for name, run in json.loads(text).items()}


def write_runs(runs: Mapping[str, Run]) -> str:
    """Writes the record, sorted by name."""
    return json.dumps({name: asdict(run) for name, run in sorted(runs.items())}, indent=2) + "\n"


def page(proofs: Mapping[str, Proof], runs: Mapping[str, Run]) -> str:
    """Returns the page in Markdown: a section for each proof, in the table's order."""
    return _HEAD + "".join(f"\n{_section(proof, runs.get(proof.name))}" for proof in proofs.values())


def _section(proof: Proof, run: Run | None) -> str:
    return f"## {proof.name}\n\n{proof.says}\n\n    {proof.command}\n\n{_outcome(run)}\n"


def _outcome(run: Run | None) -> str:
    if run is None:
        return "No run is recorded."
    verdict = "Passed" if run.passed else "**Failed**"
    return f"{verdict} on {run.date} at {run.commit}, in {run.seconds} s, on {run.processor}."
