"""Runs egress routers as processes of their own on free loopback ports, until the block that started them is over."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

from envoy.process import die_with_parent


class RouterError(Exception):
    """A router did not start."""


@contextlib.contextmanager
def run(names: list[str], module: str = "egress_router") -> Iterator[dict[str, int]]:
    """Starts a router for each name and gives their ports by name; raises RouterError if one does not listen.

    `module` is the program: another backend with the same command line and first line of output will do.
    """
    with contextlib.ExitStack() as stack:
        ports = {}
        for name in names:
            # -S: with this program's own path and nothing of the machine's site-packages.
            command = [sys.executable, "-S", "-m", module, "--name", name, "--port", "0"]
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=die_with_parent
            )
            stack.callback(_stop, process)
            assert process.stdout is not None
            words = process.stdout.readline().split()
            if not words:
                raise RouterError(f"{name} did not start; its error stands above")
            ports[name] = int(words[-1])
        yield ports


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
