"""A difference between two builds is found and named."""

from __future__ import annotations

from tests.reproducible.difference import first_difference
from toolchain.wasm.format import CODE, CORE_MODULE, DATA, EXPORT, FUNCTION, MEMORY, TYPE, Module, leb, text, vector


def module(bodies: list[bytes], memory: bytes, export: str = "f") -> bytes:
    """A module of functions () -> () and one segment at address 1024."""
    segment = b"\0\x41" + b"\x80\x08" + b"\x0b" + leb(len(memory)) + memory
    sections = [
        (TYPE, vector([b"\x60\0\0"])),
        (FUNCTION, vector(b"\0" for _ in bodies)),
        (MEMORY, vector([b"\0\1"])),
        (EXPORT, vector([text(export) + b"\0\0"])),
        (CODE, vector(leb(len(body)) + body for body in bodies)),
        (DATA, vector([segment])),
    ]
    return CORE_MODULE + b"".join(bytes([i]) + leb(len(body)) + body for i, body in sections)


NOP = b"\0\x01\x0b"
TRAP = b"\0\x00\x0b"


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
