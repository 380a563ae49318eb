"""Envoy in Docker: a program that takes Envoy's command line, and runs its image with the same files and ports."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from toolchain.tools import ToolchainError

IMAGE = "envoyproxy/envoy:v1.40.0"
"""The image that is run if none is named."""

_ANSWER_SECONDS = 20


def program(image: str, work: Path) -> Path:
    """Writes a program into Envoy's directory and returns it; raises `ToolchainError` if there is no Docker that answers.

    The container has this machine's network, and of its files that directory alone.
    """
    docker = shutil.which("docker")
    if docker is None:
        raise ToolchainError("there is no program docker on the path; install Docker, or leave --docker out")
    try:
        done = subprocess.run(
            [docker, "version", "--format", "{{.Server.Version}}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{docker} does not answer: {error}") from None
    if done.returncode:
        raise ToolchainError(f"Docker's engine does not answer: {done.stderr.strip()}")
    user = ["--user", f"{os.getuid()}:{os.getgid()}"] if hasattr(os, "getuid") else []
    # An image may have an entry point of its own, which is Envoy or a script around it.
    options = ["--rm", "--init", "--network=host", "--entrypoint=envoy", *user, f"--volume={work}:{work}"]
    command = [docker, "run", *options, image]
    made = work / "envoy-in-docker"
    made.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    made.chmod(0o700)
    return made
