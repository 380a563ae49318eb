"""A difference between two builds is found and named."""

from __future__ import annotations

from tests.reproducible.difference import first_difference
from toolchain.wasm import opcodes as wasm
from toolchain.wasm.code import UNREACHABLE, data_segment, function_body, op
from toolchain.wasm.format import (
    CORE_MODULE,
    DATA,
    FUNC_KIND,
    FUNCTION,
    MEMORY,
    Export,
    FunctionType,
    Module,
    leb,
    limits,
    vector,
)


def module(bodies: list[bytes], memory: bytes, export: str = "f") -> bytes:
    """A module of functions () -> () and one segment at address 1024."""
    made = Module(CORE_MODULE)
    made.put_types([FunctionType(b"", b"")])
    made.put(FUNCTION, vector(leb(0) for _ in bodies))
    made.put(MEMORY, vector([limits(1)]))
    made.put_exports([Export(export, FUNC_KIND, 0)])
    made.put_bodies(bodies)
    made.put(DATA, vector([data_segment(1024, memory)]))
    return made.encode()


NOP = function_body(op(wasm.NOP))
TRAP = function_body(UNREACHABLE)


def test_equal_files_do_not_differ() -> None:
    assert first_difference(module([NOP], b"memory"), module([NOP], b"memory")) is None


def test_a_function_is_named() -> None:
    found = first_difference(module([NOP, NOP, NOP], b""), module([NOP, NOP, TRAP], b""))
    assert found == "code section, function 2, byte 1 of 3 and 3"


def test_an_address_is_named() -> None:
    found = first_difference(module([NOP], b"memory at 14:02"), module([NOP], b"memory at 15:37"))
    assert found == f"data section, address {1024 + 11:#x}, 34 3a 30 32 and 35 3a 33 37"


def test_another_section_is_named() -> None:
    found = first_difference(module([NOP], b"", export="f"), module([NOP], b"", export="g"))
    assert found == "export section, byte 2 of 5 and 5"


def test_another_layout_is_named() -> None:
    fewer = Module(module([NOP], b""))
    fewer.sections.pop()
    found = first_difference(module([NOP], b""), fewer.encode())
    assert found == "sections [1, 3, 5, 7, 10, 11] and [1, 3, 5, 7, 10]"


def test_any_other_file_has_an_offset() -> None:
    assert first_difference(b"a zip file", b"a zap file") == "byte 3 of 10 and 10"
