"""Deep recursion in C on a real Envoy, whose engine's stack is the one that counts: every case ends, and no VM does.

The filter is tests/host/guests/recursion.py, tiered and not. The source address names the case; each connection reaches the router.
CI runs every eighth case. `recursion_whole` runs all: `python3 -m proofs recursion`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from envoy import configuration, process
from envoy.client import ask
from envoy.configuration import MAIN
from tests.envoy.conftest import ROUTERS

EVERY = int(os.environ.get("EVERY", "8"))
"""Which cases run: all if it is 1."""


@pytest.mark.parametrize("module", ["recursion", "recursion_untiered"])
def test_every_case_ends_and_no_vm_does(module: str, ports: dict[str, int], tmp_path: Path) -> None:
    filter_module = Path(f"tests/host/guests/{module}.wasm").absolute()
    made = configuration.for_loopback(filter_module, ports, tmp_path / "access.log")
    with process.run(made, tmp_path, workers=1) as envoy:
        asked = 0
        while not envoy.log_lines("no case"):
            number = asked * EVERY
            source = f"127.9.{number // 256}.{number % 256}"
            assert ask(envoy.listeners[MAIN], source, timeout=120)[0] == ROUTERS[0], f"case {number} ended the VM"
            asked += 1
        assert asked > 250 // EVERY
        lines = envoy.log_lines(": case ")
        assert len(lines) == asked - 1
        assert [line for line in lines if " ok: " not in line] == []
        assert envoy.log_lines("Function: ") == []
