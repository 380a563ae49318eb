"""Deep recursion in C ends in RecursionError, and the VM lives on: the filter of guests/recursion.py, tiered and not.

CI runs every eighth case. `recursion_whole` runs all: `python3 -m proofs recursion`.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from proxy_wasm.testing.wasm import WasmModule

EVERY = int(os.environ.get("EVERY", "8"))
"""Which cases run: all if it is 1."""


@pytest.mark.parametrize("module", ["recursion", "recursion_untiered"])
def test_every_case_ends_as_it_has_to(module: str) -> None:
    vm = WasmModule(Path(f"tests/host/guests/{module}.wasm"))
    assert vm.start()
    ended: list[str] = []
    said = 0
    for number in itertools.count(step=EVERY):
        connection = vm.connection(source=f"127.9.{number // 256}.{number % 256}:4711")
        # A trap would be an exception here.
        connection.new_connection()
        connection.close()
        lines = vm.host.lines()[said:]
        said += len(lines)
        line = lines[-1]
        if line == "no case":
            break
        ended.append(line)
        if "of its like" in line:
            assert len([line for line in lines if line.startswith("RecursionError")]) <= 1, lines
    assert len(ended) > 250 // EVERY
    assert [line for line in ended if " ok: " not in line] == []
