"""One Envoy for a whole file of tests: the built filter, two routers, and a listener for each way in."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from envoy import configuration, process, routers
from envoy.client import has_ipv6
from envoy.waiting import wait_for as wait_for

ROUTERS = ["egress-router1", "egress-router2"]
MODULE = Path(os.environ.get("FILTER_WASM", "filter/filter.wasm")).absolute()

# What Envoy writes at level error or critical without anything being wrong: nothing.
_BAD = ("[error]", "[critical]")


@dataclass
class Stack:
    """The routers' ports, the access log, and Envoy."""

    envoy: process.Envoy
    ports: dict[str, int]
    access_log: Path
    unix_socket: str

    def errors(self) -> list[str]:
        """Returns the lines of Envoy's log that report an error."""
        return [line for line in self.envoy.log_lines() if any(level in line for level in _BAD)]


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with routers.run(ROUTERS) as running:
        yield running


@pytest.fixture(scope="module")
def stack(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    work = tmp_path_factory.mktemp("envoy")
    # Short, as a socket's path must be. Sandboxes share /tmp, and numbers of processes repeat in them.
    unix_socket = Path(f"/tmp/pw-{secrets.token_hex(8)}.sock")
    configured = configuration.for_loopback(MODULE, ports, work / "access.log")
    if has_ipv6():
        configuration.add_ipv6(configured)
    configuration.add_unix_socket(configured, unix_socket)
    try:
        with process.run(configured, work, workers=4) as envoy:
            yield Stack(envoy, ports, work / "access.log", str(unix_socket))
    finally:
        unix_socket.unlink(missing_ok=True)
