"""A module twice on wasmtime, as it is and with functions cold, as a rule all: what each of the two does is compared."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import wasmtime

from toolchain.recipe.files import RuntimeFiles
from toolchain.tier.assemble import Reached, assemble

INTERPRETER = RuntimeFiles(Path("toolchain")).interpreter.read_bytes()
TRAP = "trap"

Outcome = tuple[int, ...] | str
"""The bits of a call's results, or `TRAP`."""

Host = Callable[["Instance", str, tuple[float, ...]], int]
"""Answers a call of an import, by its name and arguments."""


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    # The specification leaves a computed NaN's bits open; with this they are the same whoever computes.
    config.cranelift_nan_canonicalization = True
    return wasmtime.Engine(config)


_ENGINE = _engine()


def _bits(value: object) -> int:
    return struct.unpack("<q", struct.pack("<d", value))[0] if isinstance(value, float) else int(value)  # type: ignore[call-overload, no-any-return]


class Instance:
    """A running module; `calls` is what it told the host."""

    def __init__(self, module: bytes, host: Host) -> None:
        self.calls: list[tuple[str, Outcome]] = []
        self._store = wasmtime.Store(_ENGINE)
        compiled = wasmtime.Module(_ENGINE, module)
        linker = wasmtime.Linker(_ENGINE)
        for item in compiled.imports:
            kind, name = item.type, item.name or ""
            assert isinstance(kind, wasmtime.FuncType)
            linker.define_func(item.module, name, kind, self._answer(host, name, bool(kind.results)))
        self._exports = linker.instantiate(self._store, compiled).exports(self._store)

    def _answer(self, host: Host, name: str, results: bool) -> Callable[..., int | None]:
        def answer(*arguments: float) -> int | None:
            self.calls.append((name, tuple(map(_bits, arguments))))
            result = host(self, name, arguments)
            return result if results else None

        return answer

    def call(self, name: str, *arguments: float) -> Outcome:
        """Calls an export."""
        function = self._exports[name]
        assert isinstance(function, wasmtime.Func)
        try:
            result = function(self._store, *arguments)
        except wasmtime.Trap:
            return TRAP
        if result is None:
            return ()
        return tuple(map(_bits, result if isinstance(result, list) else [result]))

    def functions(self) -> dict[str, list[str]]:
        """The exported functions, and the types of their parameters."""
        exports = {name: self._exports[name] for name in self._exports}
        return {
            name: [str(parameter) for parameter in function.type(self._store).params]
            for name, function in exports.items()
            if isinstance(function, wasmtime.Func)
        }

    def globals(self) -> dict[str, int]:
        """The exported globals of numbers, as bits."""
        exports = {name: self._exports[name] for name in self._exports}
        return {
            name: _bits(value.value(self._store))
            for name, value in exports.items()
            if isinstance(value, wasmtime.Global)
            and str(value.type(self._store).content) in ("i32", "i64", "f32", "f64")
        }

    def memory(self) -> bytes:
        """The whole memory."""
        memory = self._exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        return bytes(memory.read(self._store))


class Pair:
    """The two instances of a module."""

    def __init__(
        self,
        module: bytes,
        host: Host = lambda instance, name, arguments: 0,
        keep: Sequence[int] = (),
        reached: Reached | None = None,
    ) -> None:
        self.tiered = assemble(module, keep, INTERPRETER, reached=reached)
        self.plain, self.cold = Instance(module, host), Instance(self.tiered.module, host)

    def call(self, name: str, *arguments: float) -> Outcome:
        """Calls an export of both, asserts that they do the same, and returns it."""
        plain, cold = self.plain.call(name, *arguments), self.cold.call(name, *arguments)
        assert cold == plain, f"{name}{arguments}: {plain} compiled, {cold} cold"
        assert self.cold.calls == self.plain.calls
        return plain
