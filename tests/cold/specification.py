"""Runs a script of the WebAssembly specification's tests compiled and cold: each assertion must come to the same in both worlds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.cold.pair import INTERPRETER
from tests.cold.script import Outcome, Signatures, World, engine, meets, read, signatures
from toolchain.tier import parts, translate
from toolchain.tier.assemble import Tiered, assemble
from toolchain.tier.declarations import Declarations
from toolchain.tools import ToolchainError
from toolchain.wasm.format import FUNC_KIND, FormatError, Module

EXPLAINED = {
    "linking0.wast:42": "a module's loading traps before the tier's own data is there, and then its function is called; a proxy drops it",
}
"""Where something else is expected, and why: by script and line."""

_ENGINE = engine()
_ON_A_MODULE = {"module", "assert_unlinkable", "assert_uninstantiable"}
_ON_A_FUNCTION = {"assert_return", "assert_trap", "assert_exhaustion", "action"}


@dataclass
class Ran:
    """What scripts came to, in one form of being cold."""

    scripts: int = 0
    modules: int = 0
    functions: int = 0
    """Those of the modules that are not refused."""
    cold: int = 0
    """How many of them are cold, or have cold parts."""
    same: int = 0
    """Commands that came to the same in both worlds."""
    left: int = 0
    """Commands on modules that are refused."""
    refused: Counter[str] = field(default_factory=Counter)
    """Modules that are refused, or import from one that is, by the sentence that says why."""
    unmet: list[str] = field(default_factory=list)
    """Assertions that the compiled module does not meet: the engine's doing, or this program's."""
    different: list[str] = field(default_factory=list)
    """Where cold code does something else, and what both did."""
    explained: list[str] = field(default_factory=list)
    """Where it does so for a reason that `EXPLAINED` has."""

    def add(self, other: Ran) -> None:
        """Adds what other scripts came to."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def _own(module: Module) -> range:
    """The indices of a module's own functions."""
    imported = sum(1 for item in module.imports() if item.kind == FUNC_KIND)
    return range(imported, imported + len(module.bodies()))


def _all(data: bytes) -> tuple[Tiered, int]:
    tiered = assemble(data, (), INTERPRETER)
    return tiered, tiered.functions - len(tiered.kept)


def _every_other(data: bytes) -> tuple[Tiered, int]:
    tiered = assemble(data, _own(Module(data))[::2], INTERPRETER)
    return tiered, tiered.functions - len(tiered.kept)


def _wide(data: bytes) -> tuple[Tiered, int]:
    narrow = translate._Translation

    def wide(declarations: Declarations, index: int, body: bytes, wide: bool, far: bool) -> translate._Translation:
        return narrow(declarations, index, body, wide=True)

    with patch.object(translate, "_Translation", wide):
        return _all(data)


def _parts(data: bytes) -> tuple[Tiered, int]:
    every = patch.multiple(parts, _LEAST=8, _pay=lambda found, own: True)
    with patch.object(translate, "LARGE", 0), every:
        module = Module(data)
        found = translate.translate(module).parts
        return assemble(data, _own(module), INTERPRETER, reached=dict.fromkeys(found, ())), len(found)


FORMS: dict[str, Callable[[bytes], tuple[Tiered, int]]] = {
    "all cold": _all,
    "every other function compiled": _every_other,
    "in the form for large functions": _wide,
    "compiled functions with cold parts": _parts,
}
"""Each makes a module cold in its way, and tells how many functions are cold or have cold parts."""


class _Both:
    """The worlds of a script: one of compiled modules, and one of the same modules cold."""

    def __init__(self, script: Path, form: str) -> None:
        self.ran = Ran(scripts=1)
        self._script, self._form = script, form
        self._plain, self._cold = World(_ENGINE), World(_ENGINE)
        self._refused: dict[str | None, str] = {}
        self._refused_imports: dict[str, str] = {}

    def do(self, command: Mapping[str, Any]) -> None:
        """Does what a command says in both worlds. In neither is there a module that is refused."""
        kind, name = command["type"], command.get("name")
        if kind == "register":
            if name in self._refused:
                self._refused_imports[command["as"]] = self._refused[name]
            else:
                self._plain.register(command["as"], name)
                self._cold.register(command["as"], name)
        elif kind in _ON_A_MODULE:
            self.ran.modules += 1
            try:
                plain, cold, types = self._modules((self._script.parent / command["filename"]).read_bytes())
            except (ToolchainError, FormatError) as refusal:
                self._refused[None] = self._refused[name] = str(refusal)
                self.ran.refused[str(refusal)] += 1
                return
            self._refused.pop(None, None)
            self._compare(command, self._plain.load(plain, types, name), self._cold.load(cold, types, name))
        elif kind in _ON_A_FUNCTION:
            action = command["action"]
            if action.get("module") in self._refused:
                self.ran.left += 1
            else:
                self._compare(command, self._plain.act(action), self._cold.act(action))

    def _modules(self, data: bytes) -> tuple[bytes, bytes, Signatures]:
        module = Module(data)
        for imported in module.imports():
            if imported.module in self._refused_imports:
                raise ToolchainError(self._refused_imports[imported.module])
        tiered, cold = FORMS[self._form](data)
        self.ran.functions += len(module.bodies())
        self.ran.cold += cold
        return data, tiered.module, signatures(module)

    def _compare(self, command: Mapping[str, Any], plain: Outcome, cold: Outcome) -> None:
        where = f"{self._script.stem}.wast:{command['line']}"
        if not meets(command, plain) and not self._refused:
            self.ran.unmet.append(f"{where}: {plain}")
        if plain == cold:
            self.ran.same += 1
        elif where in EXPLAINED:
            self.ran.explained.append(f"{where}: {EXPLAINED[where]}")
        else:
            self.ran.different.append(f"{where}: {plain} compiled, {cold} cold")


def run(script: Path, form: str = "all cold") -> Ran:
    """Runs a script's commands in a world of compiled modules and in one of cold ones."""
    both = _Both(script, form)
    for command in read(script):
        both.do(command)
    return both.ran
