"""Starts CPython in the flattened module, with the program that loads filters, and writes its state as the runtime's.

It is started twice: the first one compiles what the second is started with, without docstrings. Nothing but CPython and
that program is in the memory then: what componentize-py's run of CPython left behind is not (pristine.py).
"""

from __future__ import annotations

from pathlib import Path

import wasmtime

from toolchain.boundary import generate as boundary
from toolchain.runtime import library
from toolchain.tools import Say, silent
from toolchain.vm.builder import BuilderVm, Compiler, export_globals, make_engine
from toolchain.vm.sources import Sources
from toolchain.wasm.format import Module


def start(flat: bytes, stdlib: Path, say: Say = silent) -> bytes:
    """Returns the flattened module with a started CPython as its initial state."""
    say("starting CPython")
    module = Module(flat)
    export_globals(module)
    engine = make_engine()
    compiled = wasmtime.Module(engine, module.encode())
    sources = Sources([], stdlib)
    first = BuilderVm(engine, compiled, {b"build.frozen": sources.frozen})
    first.start()
    compiler = Compiler(lambda: first)
    second = BuilderVm(engine, compiled, {b"build.frozen": lambda name: compiler.stripped(sources.frozen_source(name))})
    second.start()
    dictionary = library.dictionary(sources, compiler)
    for vm in (first, second):
        vm.python("set_dictionary", dictionary)
    say("packing the standard library")
    library.add_late(stdlib, compiler)
    second.write_state(module)
    once = (boundary.BUILD_START, boundary.BUILD_RELOCATE, boundary.BUILD_CONSTRUCT, boundary.BUILD_GLOBAL)
    module.put_exports(e for e in module.exports() if not e.name.startswith(once))
    return module.encode()
