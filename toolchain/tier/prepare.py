"""Prepares the cold tier, once for a runtime: compiles the interpreter, and translates the runtime's functions."""

from __future__ import annotations

from pathlib import Path

from toolchain.tier.contract import header
from toolchain.tier.translate import translate
from toolchain.tools import Tools, read
from toolchain.wasm.format import Module


def build_interpreter(tools: Tools) -> bytes:
    """Compiles and links the interpreter and returns its core module."""
    here = Path(__file__).parent
    compiled, linked = tools.work / "interpreter.o", tools.work / "interpreter.wasm"
    (tools.work / "contract.h").write_text(header())
    features = ["-mbulk-memory", "-mnontrapping-fptoint"]
    exact = ["-ffp-contract=off", "-fno-strict-aliasing", "-fno-delete-null-pointer-checks"]
    target = ["-target", "wasm32-freestanding", "-O2", "-nostdlib", "-g0"]
    tools.zig("cc", *target, *features, *exact, "-I", tools.work, "-c", here / "interpreter.c", "-o", compiled)
    linking = ["--no-entry", "--import-memory", "--import-table", "--allow-undefined", "--strip-all"]
    tools.zig("wasm-ld", compiled, "-o", linked, *linking)
    return read(linked)


def translation(runtime: bytes) -> bytes:
    """Returns the runtime's functions as the interpreter runs them, in the form that `read_translation` reads."""
    return translate(Module(runtime)).encode()
