"""Debian's `containerd` with its files in one directory: what a node's runtime does with an image."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from envoy.process import die_with_parent
from envoy.waiting import wait_for
from tests.oci.conftest import START_SECONDS, needed, run

# `native` copies instead of layering: it takes any file system below.
_SNAPSHOTTER = "--snapshotter=native"


class Containerd:
    """A containerd that runs, and `ctr` against it."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def ctr(self, *words: str | Path) -> str:
        """Runs `ctr images` and returns its output."""
        command, *rest = words
        done = run(needed("ctr"), "--address", self._socket, "images", command, _SNAPSHOTTER, *rest)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def mounted(self, image: str, target: Path) -> Iterator[Path]:
        """Shows an image's files in a directory, as an image volume does."""
        target.mkdir()
        self.ctr("mount", image, target)
        try:
            yield target
        finally:
            self.ctr("unmount", target)


@contextlib.contextmanager
def serve(work: Path) -> Iterator[Containerd]:
    """Runs containerd for the block; a Unix socket's path must be short, and so `work`'s."""
    program = needed("containerd")
    socket, log = work / "c", work / "log"
    (work / "config.toml").write_text(
        f'version = 2\nroot = "{work / "root"}"\nstate = "{work / "state"}"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{work / "t"}"\n'
    )
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "--config", str(work / "config.toml")],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            preexec_fn=die_with_parent,
        )
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")
            return run(needed("ctr"), "--address", socket, "version").returncode == 0

        assert wait_for(answers, START_SECONDS, pause=0.1), log.read_text(errors="replace")
        yield Containerd(socket)
    finally:
        process.terminate()
        process.wait(10)
