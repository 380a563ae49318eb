"""How long the filter takes to build, cold and warm, by Bazel as a user runs it, in a copy of the sources.

Cold: every step of the toolchain runs, none is remembered; what is downloaded is there already. Warm: one of the filter's sources
changed. Nothing: no source changed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from envoy import process

TARGET = "//filter:wasm"
STEP_SECONDS = 0.2
"""Steps that take less are not told one by one."""


class BuildError(Exception):
    """The build was not measured; the text says why."""


def _sources(workspace: Path, copy: Path) -> None:
    listed = subprocess.run(
        ["git", "-C", str(workspace), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, text=True
    )
    if listed.returncode:
        raise BuildError(f"git does not list the sources: {listed.stderr.strip()}")
    for name in filter(None, listed.stdout.split("\0")):
        if (workspace / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(workspace / name, copy / name)


def _repositories() -> list[str]:
    """Options that take what Bazel downloaded for this program, and all beside it, from where it lies."""
    external = process.binary().resolve().parents[4]
    return [
        f"--override_repository={found.name}={found}"
        for found in sorted(external.iterdir())
        # With modules, Bazel puts the names of the module and its extension before a repository's.
        if re.fullmatch(r"(.*[~+])?(npm|wheels_\w+)", found.name)
    ]


def _steps(profile: Path) -> dict[str, float]:
    events = json.loads(profile.read_text())["traceEvents"]
    steps: dict[str, float] = {}
    for event in events:
        if event.get("cat") == "action processing" and event.get("dur", 0) / 1e6 > STEP_SECONDS:
            steps[event["name"]] = steps.get(event["name"], 0) + event["dur"] / 1e6
    return dict(sorted(steps.items(), key=lambda step: -step[1]))


class _Bazel:
    """Bazel in a copy of the sources, with nothing that was built before."""

    def __init__(self, copy: Path, out: Path) -> None:
        self._copy, self._out = copy, out
        self._command = [str(copy / "bazelw"), f"--output_base={out}"]
        self._environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "BUILD_", "RUNFILES"))
        }

    def run(self, *words: str) -> float:
        """Runs a command and returns its seconds."""
        started = time.monotonic()
        done = self._run(*words)
        if done.returncode:
            raise BuildError(f"bazel {words[0]} failed: {done.stderr.strip()[-2000:]}")
        return time.monotonic() - started

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self._command, *words]
        return subprocess.run(command, cwd=self._copy, env=self._environment, capture_output=True, text=True)

    def end(self) -> None:
        """Ends the server, and lets what it wrote be removed."""
        self._run("shutdown")
        subprocess.run(["chmod", "-R", "u+w", str(self._out)], capture_output=True)


def measure(workspace: Path, progress: Callable[[str], None]) -> dict[str, float | dict[str, float]]:
    """Returns the seconds of a cold, a warm and an empty build, and of the cold one's steps; raises BuildError if Bazel fails."""
    with tempfile.TemporaryDirectory(prefix="bench-build-") as name:
        copy, profile = Path(name, "sources"), Path(name, "profile.json")
        copy.mkdir()
        _sources(workspace, copy)
        options = [*_repositories(), "--disk_cache=", "--color=no", "--curses=no", "--noshow_progress"]
        bazel = _Bazel(copy, Path(name, "out"))
        try:
            bazel.run("info")  # the server's own start is no build
            progress("cold")
            cold = bazel.run("build", TARGET, *options, f"--profile={profile}")
            steps = _steps(profile)
            progress("warm")
            routing = copy / "filter" / "routing.py"
            routing.write_text(routing.read_text() + "\n# changed\n")
            warm = bazel.run("build", TARGET, *options)
            nothing = bazel.run("build", TARGET, *options)
        finally:
            bazel.end()
        return {"cold": cold, "warm": warm, "nothing": nothing, "steps": steps}
