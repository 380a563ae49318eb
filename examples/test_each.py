"""Each example in an Envoy of its own, with its own module and its envoy.yaml as it is: what its README shows is what comes."""

from __future__ import annotations

import re
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from envoy import process
from envoy.waiting import wait_for

EXAMPLES = sorted(path.parent.name for path in Path("examples").glob("*/envoy.yaml"))
_SECONDS = 15.0  # some examples decide by chance, and one ticks every five seconds


def blocks(text: str) -> Iterator[str]:
    """Yields the indented blocks of a README."""
    for block in re.findall(r"^(?: {4}.*\n)+", text, re.MULTILINE):
        yield textwrap.dedent(block)


def commands(session: str) -> list[tuple[str, list[str]]]:
    """Returns the commands of a session, and the lines that each shows."""
    found = []
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, *lines = part.splitlines()
        found.append((command, lines))
    return found


def shows(command: str, lines: list[str]) -> bool:
    """Tells whether a command shows these lines, and more only if they end in dots."""
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=20)
    found = done.stdout.splitlines()
    return set(lines[:-1]) <= set(found) if lines[-1] == "..." else lines == found


def is_logged(line: str, envoy: process.Envoy) -> bool:
    """Tells whether Envoy logs such a line; numbers, and what dots leave out, may be any."""
    pattern = re.sub(r"\d+", r"\\d+", re.escape(line.removesuffix("...")))
    return any(re.search(pattern, found) for found in envoy.log_lines())


@pytest.mark.parametrize("example", EXAMPLES)
def test_readme(example: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    folder = Path("examples") / example
    run, session = blocks((folder / "README.md").read_text(encoding="utf-8"))
    assert run == f"./bazelw run //examples/{example}\n"
    # As run.py has it.
    configuration = (folder / "envoy.yaml").read_text(encoding="utf-8").replace("bazel-bin/", "")
    with process.run(configuration, tmp_path) as envoy:
        checked = commands(session)
        if checked:
            assert wait_for(lambda: all(shows(*command) for command in checked), _SECONDS), session
        else:
            for line in session.splitlines():
                assert wait_for(partial(is_logged, line, envoy), _SECONDS), line
        assert not envoy.log_lines("Traceback") and not envoy.log_lines("[error]")
    record_property("commands", len(checked))
