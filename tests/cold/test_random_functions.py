"""Random modules, made by binaryen's fuzzer from random bytes of fixed seeds: every export does the same, called in order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cold.pair import TRAP, Pair
from toolchain.tier import parts, translate
from toolchain.tier.assemble import Reached
from toolchain.tier.declarations import Declarations
from toolchain.tools import Tools
from toolchain.wasm.format import MEMORY_KIND, START, Export, Module

MODULES, SOME = 50, 10
# What the interpreter knows, and nothing else. Addresses are wild in half of the modules: what traps often leaves little to compare.
OPTIONS = ["-mvp", "--enable-sign-ext", "--enable-nontrapping-float-to-int", "--enable-mutable-globals"]
OPTIONS += ["--quiet", "--translate-to-fuzz"]


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    site, modules = (next(Path("..").glob(f"*{name}")) for name in ("wheels_node/site", "npm/node_modules"))
    return Tools(Path(), site, modules, tmp_path)


def wild(seed: int) -> bool:
    return seed % 2 == 0


def random_module(tools: Tools, seed: int) -> bytes:
    chance, source, out = random.Random(seed), tools.work / "random", tools.work / "random.wasm"
    source.write_bytes(chance.randbytes(chance.choice((3_000, 12_000, 40_000))))
    options = OPTIONS if wild(seed) else [*OPTIONS, "--no-fuzz-oob"]
    tools.node(tools.node_modules / "binaryen" / "bin" / "wasm-opt", *options, source, "-o", out)
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


def run(module: bytes, seed: int, keep: Sequence[int] = (), reached: Reached | None = None) -> Pair:
    """Calls every export of a module, compiled and cold."""
    pair = Pair(module, lambda instance, name, arguments: 1, keep, reached)
    chance = random.Random(seed)
    outcomes = []
    for name, kinds in pair.plain.functions().items():
        for _ in range(4 if kinds else 1):
            outcomes.append(pair.call(name, *(argument(chance, kind) for kind in kinds)))
        assert pair.cold.globals() == pair.plain.globals()
        assert pair.cold.memory() == pair.plain.memory()
    assert outcomes.count(TRAP) < len(outcomes) or wild(seed)
    return pair


def functions(module: bytes) -> range:
    """The indices of a module's own functions."""
    parsed = Module(module)
    imported = len(parsed.imports())  # nothing but functions
    return range(imported, imported + len(parsed.bodies()))


@pytest.mark.parametrize("seed", range(MODULES))
def test_every_function_cold(tools: Tools, seed: int) -> None:
    module = random_module(tools, seed)
    pair = run(module, seed)
    assert pair.tiered.kept == [*range(functions(module).start)]


@pytest.mark.parametrize("seed", range(MODULES, MODULES + SOME))
def test_some_functions_compiled(tools: Tools, seed: int) -> None:
    module = random_module(tools, seed)
    run(module, seed, [function for function in functions(module) if random.Random(function).random() < 0.5])


@pytest.mark.parametrize("seed", range(MODULES + SOME, MODULES + 2 * SOME))
def test_narrow_far_and_wide_code(tools: Tools, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Of three functions one is translated as if it was too large for the usual numbers, and one as if its jumps went too far."""
    narrow = translate._Translation

    def translation(
        declarations: Declarations, index: int, body: bytes, wide: bool, far: bool
    ) -> translate._Translation:
        return narrow(declarations, index, body, wide or index % 3 == 1, far or index % 3 == 2)

    monkeypatch.setattr(translate, "_Translation", translation)
    run(random_module(tools, seed), seed)


@pytest.mark.parametrize("seed", range(MODULES + 2 * SOME, MODULES + 3 * SOME))
def test_parts_of_functions_cold(tools: Tools, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Of compiled functions all parts are cold, but for some that a training may have reached."""
    monkeypatch.setattr(translate, "LARGE", 0)
    monkeypatch.setattr(parts, "_LEAST", 8)
    monkeypatch.setattr(parts, "_pay", lambda found, own: True)
    module, chance = random_module(tools, seed), random.Random(seed)
    found = translate.translate(Module(module)).parts
    marks = {function: [part.mark for part in found[function] if chance.random() < 0.3] for function in found}
    assert marks
    run(module, seed, functions(module), marks)
