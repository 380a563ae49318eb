"""Network namespaces that no other process sees, and that the kernel takes away when this process is gone, however it ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_NAMES = Path("/run/netns")
ROOTS_PATH = "/usr/sbin:/sbin"
"""Where root's programs are: not on the path that Bazel gives to a test."""
_PROGRAMS = {"ip": "iproute2", "iptables-restore": "iptables", "setpriv": "util-linux"}
_COMMAND_SECONDS = 30.0


class NetworkError(Exception):
    """A command that changes the network failed; the text has what it said."""


def _call(function: str, *arguments: int) -> None:
    if getattr(_LIBC, function)(*arguments):
        raise NetworkError(f"{function}: {os.strerror(ctypes.get_errno())}")


def command(*words: str, stdin: str = "") -> str:
    """Runs a program and returns its output; raises NetworkError if it fails."""
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=_COMMAND_SECONDS)
    if done.returncode:
        raise NetworkError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def isolate() -> None:
    """Gives this process mounts of its own, and an empty /run; raises NetworkError with what is missing if that cannot be.

    The names of namespaces are mounts below /run. So they end with this process, and the last of its children.
    """
    if os.geteuid():
        raise NetworkError("only root makes network namespaces")
    os.environ["PATH"] = f"{os.environ['PATH']}:{ROOTS_PATH}"
    for program, package in _PROGRAMS.items():
        if not shutil.which(program):
            raise NetworkError(f"there is no {program}: tools/debian-install {package}")
    _call("unshare", _CLONE_NEWNS)
    command("mount", "--make-rprivate", "/")
    command("mount", "-t", "tmpfs", "tmpfs", "/run")


class Namespace:
    """A network namespace, with nothing but a loopback interface."""

    def __init__(self, name: str) -> None:
        self.name = name
        command("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Moves this thread here for the block. Sockets that the block makes, and processes that it starts, stay here."""
        with Path("/proc/thread-self/ns/net").open() as before, (_NAMES / self.name).open() as here:
            _call("setns", here.fileno(), _CLONE_NEWNET)
            try:
                yield
            finally:
                _call("setns", before.fileno(), _CLONE_NEWNET)

    def run(self, *words: str, stdin: str = "") -> str:
        """Runs a program here and returns its output; raises NetworkError if it fails."""
        with self.entered():
            return command(*words, stdin=stdin)

    def ip(self, *words: str) -> None:
        """Runs `ip` here."""
        self.run("ip", *words)

    def set(self, key: str, value: int) -> None:
        """Sets a `net.` variable of the kernel here, such as "ipv6/conf/eth0/accept_dad"."""
        with self.entered():
            Path("/proc/sys/net", key).write_text(str(value))

    def delete(self) -> None:
        """Takes the name away. The namespace ends with the last process in it."""
        command("ip", "netns", "delete", self.name)
