"""Random modules, made by binaryen's fuzzer from random bytes of fixed seeds: every export does the same, called in order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.cold.pair import TRAP, Pair
from toolchain.tools import Tools
from toolchain.wasm import MEMORY, MEMORY_KIND, START, Export, Module, Reader

MODULES = 80
# What the interpreter knows, and nothing else. No wild addresses, and no wild sizes to copy or fill (test_opcodes.py has them): behind
# the module's memory lies the tier's data instead of a trap.
OPTIONS = ["-mvp", "--enable-sign-ext", "--enable-nontrapping-float-to-int", "--enable-mutable-globals"]
OPTIONS += ["--no-fuzz-oob", "--quiet", "--translate-to-fuzz"]
PAGE = 65536


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    site, modules = (next(Path("..").glob(f"*{name}")) for name in ("wheels_node/site", "npm/node_modules"))
    return Tools(Path(), site, modules, tmp_path)


def random_module(tools: Tools, seed: int) -> bytes:
    chance, source, out = random.Random(seed), tools.work / "random", tools.work / "random.wasm"
    source.write_bytes(chance.randbytes(chance.choice((3_000, 12_000, 40_000))))
    tools.node(tools.node_modules / "binaryen" / "bin" / "wasm-opt", *OPTIONS, source, "-o", out)
    module = Module(out.read_bytes())
    # A start function that traps leaves nothing to call.
    module.sections = [section for section in module.sections if section[0] != START]
    exports = [export for export in module.exports() if export.kind != MEMORY_KIND]
    module.put_exports([*exports, Export("memory", MEMORY_KIND, 0)])
    return module.encode()


def argument(chance: random.Random, kind: str) -> float:
    width = int(kind[1:])
    number = chance.getrandbits(width) - (1 << (width - 1))
    if kind[0] == "i":
        return chance.choice((0, 1, -1, number, number >> (width - 8)))
    return chance.choice((0.0, -0.0, 1.0, float(number), number / 7.0, float("inf"), float("nan"), 1e-310))


@pytest.mark.parametrize("seed", range(MODULES))
def test_random_module(tools: Tools, seed: int) -> None:
    module = random_module(tools, seed)
    reader = Reader(Module(module).get(MEMORY), 2)
    size = reader.u32() * PAGE
    pair = Pair(module, lambda instance, name, arguments: 1)
    assert len(pair.kept) == len(Module(module).imports())
    chance = random.Random(seed)
    outcomes = []
    for name, kinds in pair.plain.functions().items():
        for _ in range(4 if kinds else 1):
            outcomes.append(pair.call(name, *(argument(chance, kind) for kind in kinds)))
        assert pair.cold.globals() == pair.plain.globals()
        assert pair.cold.memory(size) == pair.plain.memory(size)
    assert outcomes.count(TRAP) < len(outcomes)
