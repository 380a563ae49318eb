"""Freezes a filter into the runtime: imports its module in the started CPython and writes the resulting state as a core module.

The world in which the import happens is the same everywhere, and its code is compiled elsewhere (vm/builder.py). What can be imported
later is put beside it, compressed (vm/late.py). Code is the
runtime's own; memory, globals and memory size are as the import left them. Callbacks that the filter does not register are not
exported, and the proxy never calls them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import wasmtime

from toolchain import imports, producers
from toolchain.abi import Abi
from toolchain.boundary import generate as boundary
from toolchain.cpython import compiler as compiler_entries
from toolchain.memo import Memo
from toolchain.tools import ToolchainError
from toolchain.vm import late
from toolchain.vm.builder import Answers, BuilderVm, Compiler, make_engine
from toolchain.vm.calling import Part
from toolchain.vm.late import Import
from toolchain.vm.sources import Found, Sources
from toolchain.wasm.format import Module

_ZONES = "zoneinfo._common"
"""The module that reads time zones: with it the package tzdata is in the filter."""


def _compile(engine: wasmtime.Engine, runtime: bytes, compiled: Path | None) -> wasmtime.Module:
    if compiled is not None:
        try:
            return wasmtime.Module.deserialize_file(engine, str(compiled))
        except wasmtime.WasmtimeError:
            print("note: the compiled runtime is another machine's; compiling again", file=sys.stderr)
    return wasmtime.Module(engine, runtime)


class Frozen(NamedTuple):
    """A module of Python that is in a filter, beside those of the runtime."""

    name: str
    size: int
    """The bytes of its code: as it was read, or compressed if it can only be imported late."""

    late: bool


@dataclass(frozen=True)
class Snapshot:
    """A filter's module, and what its author should know."""

    module: bytes
    warnings: list[str]
    unreached: list[str]
    """The host calls that its code cannot reach (imports.py)."""

    left_out: Sequence[str] = ()
    """The modules of C and the codecs that it cannot import."""

    modules: Sequence[Frozen] = ()
    """What is in it; nothing for one that was read from a file."""


def snapshot(
    runtime: bytes,
    compiled: Path | None,
    sources: Sources,
    module: str,
    abi: Abi,
    memo: Memo | None = None,
    coarse: bool = False,
    keep: Sequence[str] = (),
) -> Snapshot:
    """Returns the filter's core module, or raises `ToolchainError`, with the Python traceback where the import failed.

    A memo of this runtime spares compiling what was compiled before. A coarse module is made sooner, and is larger: for one that gets a
    cold tier, which packs the memory anyway. Modules to `keep` can be imported, whether anything names them or not.
    """
    engine = make_engine()
    code = _compile(engine, runtime, compiled)
    compiler = Compiler(lambda: BuilderVm(engine, code, {}), memo)
    sizes: dict[str, int] = {}

    def answer(name: str) -> bytes:
        found = compiler.answer(sources.find(name))
        sizes[name] = len(found)
        return found

    answers: Answers = {
        b"build.code": answer,
        b"build.source": sources.source,
        b"build.zone": sources.zone,
        b"build.zones": lambda _: "\n".join(name for names in sources.zones().values() for name in names).encode(),
    }
    vm = BuilderVm(engine, code, answers)
    with vm.limited(f"importing {module}"):
        traceback = vm.python("load", module.encode()).decode()
    if traceback:
        raise ToolchainError(f"importing {module} failed:\n{traceback.rstrip()}{_advice(traceback, sources)}")
    executed = [name for name, size in sizes.items() if size]
    sealed = _seal(vm, compiler, sources, keep, executed)
    registered = {name for i, name in enumerate(abi.callbacks) if vm.call("build_registered", i)}
    if not registered:
        raise ToolchainError(f"{module} registers no context; end it with proxy_wasm.register(YourRootContext)")
    frozen = Module(runtime)
    vm.write_state(frozen, coarse)
    unused = set(abi.callbacks) - registered
    frozen.put_exports(
        e for e in frozen.exports() if e.name not in unused and not e.name.startswith(boundary.BUILD_PREFIX)
    )
    frozen.drop_custom_sections()
    found = (sources.find(name) for name in {*sealed.loaded, *executed, *sealed.late})
    unreached = imports.unreached(abi.host_calls, [module.source for module in found if module is not None])
    modules = [Frozen(name, sizes[name], late=False) for name in sealed.loaded if sizes.get(name)]
    modules += [Frozen(name, size, late=True) for name, size in sealed.late.items()]
    made_of = producers.of_filter(compiler.python_version(), sources)
    return Snapshot(producers.put(frozen.encode(), made_of), sealed.warnings, unreached, sealed.left_out, modules)


class _Sealed(NamedTuple):
    warnings: list[str]
    loaded: list[str]
    late: dict[str, int]
    """What can be imported late, with the compressed sizes."""
    left_out: Sequence[str]


def _seal(vm: BuilderVm, compiler: Compiler, sources: Sources, keep: Sequence[str], executed: Sequence[str]) -> _Sealed:
    """Keeps what can be imported late, lets no more be asked for, and returns the warnings and all modules."""
    index = sources.late_index

    def imported(name: str, found: Found) -> list[Import]:
        return (
            [Import(*entry) for entry in index["imports"].get(name, ())] if found.standard else compiler.imports(found)
        )

    def parts(name: str, found: Found) -> list[Part]:
        return [Part(*part) for part in index["parts"].get(name, ())] if found.standard else compiler.parts(found)

    for name in keep:
        if name not in index["builtin"] and sources.find(name) is None:
            raise ToolchainError(f"there is no module {name} to keep; is its name right?")
    loaded = vm.python("loaded", b"").decode().splitlines()
    known = late.Known(sources, index["builtin"], functools.cache(imported), parts, functools.cache(vm.has_text))
    found = late.find(loaded, known, keep, executed)
    sizes, warnings = {}, list(found.warnings)
    for name in found.names:
        module = sources.find(name)
        if module is not None and not module.standard and not compiler.compiles(module):
            warnings.append(
                f"{module.origin}: {name} does not compile, and will not be in the proxy: run it to see where"
            )
            continue
        packed = sources.packed(name) if module is not None and module.standard else compiler.packed(module)
        sizes[name] = len(packed)
        vm.python("keep", name.encode() + b"\0" + packed)
    if _ZONES in loaded or _ZONES in found.names:
        for data, names in sources.zones().items():
            vm.python("keep_zone", "\n".join(names).encode() + b"\0" + compiler.pack(data))
    vm.python("leave_out", "\n".join(found.left_out).encode())
    vm.python("seal", b"")
    if compiler_entries.MODULE in found.left_out:
        vm.call(compiler_entries.LEAVE_OUT)
    return _Sealed(warnings, loaded, sizes, found.left_out)


def _advice(traceback: str, sources: Sources) -> str:
    """Returns what an import's traceback does not say itself."""
    advice = [sentence for name in sorted(sources.missed) if (sentence := sources.compiled(name))]
    if "__file__" in traceback.rstrip().rpartition("\n")[2]:
        advice.append(
            "a module in the proxy has no __file__, since there are no files: put the data into a Python module"
        )
    return "".join(f"\nnote: {sentence}" for sentence in advice)
