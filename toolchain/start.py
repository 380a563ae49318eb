"""Starts CPython in the flattened module, with the program that loads filters, and writes its state as the runtime's.

It is started twice: the first one compiles what the second is started with, without docstrings. Nothing but the interpreter and
that program is in the memory then: componentize-py's own interpreter, which has run before, is not (pristine.py). What that one had
imported beside the core can still be imported by a filter that is sealed.
"""

from __future__ import annotations

from pathlib import Path

import wasmtime

from toolchain import boundary
from toolchain.interpreter import Answers, Compiler, Interpreter, export_globals, make_engine
from toolchain.sources import Sources
from toolchain.tools import ToolchainError
from toolchain.wasm import Module

# Modules that CPython itself imports when it comes to need them (warnings, typing, annotationlib, copyreg, re ...), what
# these import, and what CPython otherwise has frozen in. They are kept compressed.
# fmt: off
LATE = (
    "__future__", "_opcode_metadata", "_py_warnings", "_weakrefset", "annotationlib", "ast", "bisect", "collections",
    "copy", "copyreg", "dataclasses", "dis", "enum", "functools", "importlib", "importlib._abc", "importlib.machinery",
    "importlib.util", "inspect", "io", "keyword", "linecache", "ntpath", "opcode", "operator", "pkgutil", "random", "re",
    "re._casefix", "re._compiler", "re._constants", "re._parser", "reprlib", "runpy", "token", "tokenize", "types",
    "typing", "warnings", "weakref",
)
# fmt: on


def start(flat: bytes, stdlib: Path) -> bytes:
    """Returns the flattened module with a started interpreter for its initial state."""
    module = Module(flat)
    export_globals(module)
    engine = make_engine()
    compiled = wasmtime.Module(engine, module.encode())
    sources = Sources([], stdlib)
    answers: Answers = {b"build.frozen": sources.frozen}
    interpreters = [Interpreter(engine, compiled, answers) for _ in range(2)]
    interpreters[0].start()
    compiler = Compiler(interpreters[0])
    answers[b"build.frozen"] = lambda name: compiler.stripped(sources.frozen_source(name))
    interpreters[1].start()
    answers[b"build.code"] = lambda name: compiler.answer(sources.find(name))
    for name in LATE:
        found = sources.find(name)
        if found is None:
            raise ToolchainError(f"{stdlib} has no module {name}")
        interpreters[1].python("keep", name.encode() + b"\0" + compiler.packed(found))
    interpreters[1].write_state(module)
    once = (boundary.BUILD_START, boundary.BUILD_RELOCATE, boundary.BUILD_CONSTRUCT, boundary.BUILD_GLOBAL)
    module.put_exports(e for e in module.exports() if not e.name.startswith(once))
    return module.encode()
