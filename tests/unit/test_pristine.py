"""The libraries' own data comes out of the wheel, and is found by the library's code."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from toolchain.runtime.pristine import Wheel
from toolchain.tools import Tools
from toolchain.wasm.format import DATA, FormatError, Module

LIBRARY = """
(module
  (import "env" "__memory_base" (global $base i32))
  (import "env" "memory" (memory 1))
  (func (export "f") (result i32) (i32.const {number}))
  {data}
)
"""
DATA_OF_IT = '(data (global.get $base) "first") (data (offset (i32.add (global.get $base) (i32.const 4096))) "second")'


def library(number: int, data: str = DATA_OF_IT) -> bytes:
    return bytes(wasmtime.wat2wasm(LIBRARY.format(number=number, data=data)))


def linked(number: int) -> Module:
    """The library in a component: the same code, and the data of a program that has run."""
    module = Module(library(number))
    module.put(DATA, b"\0")
    return module


class Unpacking(Tools):
    """Puts files where Node would put what it has unpacked."""

    def node(self, *arguments: object) -> None:
        *_, output = arguments
        (Path(str(output)) / "0").write_bytes(b"something" + library(1))


def wheel(tmp_path: Path, binary: bytes) -> Wheel:
    path = tmp_path / "binary"
    path.write_bytes(binary)
    return Wheel(path, Unpacking(tmp_path, tmp_path, tmp_path, tmp_path))


def test_a_library_is_found_packed_or_plain_by_its_code(tmp_path: Path) -> None:
    found = wheel(tmp_path, b"a program" + library(2, '(data (global.get $base) "plain")') + b"its end")
    assert list(found.segments(linked(1))) == [(0, b"first"), (4096, b"second")]
    assert list(found.segments(linked(2))) == [(0, b"plain")]


def test_a_library_that_is_not_in_the_wheel_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not in the wheel"):
        list(wheel(tmp_path, b"").segments(linked(3)))


def test_a_library_without_data_has_none(tmp_path: Path) -> None:
    assert not list(wheel(tmp_path, library(2, "") + b"\0").segments(linked(2)))


@pytest.mark.parametrize(
    ("data", "message"), [('(data "passive")', "not active"), ('(data (i32.const 8) "fixed")', "not relative")]
)
def test_data_that_is_laid_down_in_another_way_is_an_error(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        list(wheel(tmp_path, library(2, data)).segments(linked(2)))
