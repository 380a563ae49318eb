"""What is built for the routing filter stays as small as it was made."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.wasm.format import CODE, DATA, MEMORY, Module, Reader, read_limits

BUDGETS = {
    # 15.23 MB and 202 pages of memory for each VM when nothing had been done about it. What CPython imports late is among it, and what
    # reads rules of every kind.
    "filter/wasm.snapshot.wasm": (7_850_000, 112),
    # The same with its cold tier, which compresses its data. The tier's stack has most of these pages: they are only touched when
    # cold code recurses. What reads a configuration is compiled too: it happens in each worker, and holds up the worker's connections.
    "filter/filter.wasm": (2_200_000, 290),
}
"""For each module the most bytes and pages that it may have."""


@pytest.mark.parametrize("built", BUDGETS)
def test_the_module_is_within_its_budget(built: str) -> None:
    data = Path(built).read_bytes()
    module = Module(data)
    memory = Reader(module.get(MEMORY))
    pages = sum(read_limits(memory) for _ in memory.repeat())
    most_bytes, most_pages = BUDGETS[built]
    assert len(data) <= most_bytes and pages <= most_pages, (
        f"{built} has {len(data):,} bytes ({len(module.get(CODE)):,} of code, {len(module.get(DATA)):,} of data) and {pages} pages of "
        f"memory; its budget is {most_bytes:,} bytes and {most_pages} pages. Look for what came in by accident, such as the import of "
        f"a large module; where it has to be, raise the budget in tests/reproducible/{Path(__file__).name} and say why"
    )
