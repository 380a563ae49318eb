"""A component's parts become parts of one module: what each gets, gives and loses, in a component of thirty lines."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from tests.unit.test_layout import COMPONENT, EXIT
from toolchain.runtime import flatten
from toolchain.runtime.component import split
from toolchain.runtime.flatten import Extension
from toolchain.runtime.layout import Layout, recognise
from toolchain.wasm.code import UNREACHABLE, data_segment, expression, function_body, i32_const
from toolchain.wasm.format import (
    DATA,
    FUNC_KIND,
    GLOBAL_KIND,
    MEMORY,
    MEMORY_KIND,
    TABLE,
    Export,
    Module,
    Reader,
    read_limits,
    vector,
)

EXTENSION = f"""
(module
  (import "env" "memory" (memory 3))
  (import "env" "__indirect_function_table" (table 9 funcref))
  (import "libpython" "libpython.PyInit" (func))
  (func (export "proxy_on_tick") (param i32)) (func (export "{EXIT}") (param i32))
)
"""
DATA_OF_ALL = vector([data_segment(1024, b"their own")])


def wat(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


@pytest.fixture
def layout() -> Layout:
    return recognise(*split(wat(COMPONENT)))


@pytest.fixture
def extension(tmp_path: Path) -> Extension:
    (tmp_path / "boundary.wasm").write_bytes(wat(EXTENSION))
    return flatten._extension(tmp_path / "boundary.wasm")


def test_the_boundary_is_joined_to_the_main_parts_memory_and_table(extension: Extension) -> None:
    assert (extension.pages, extension.elements) == (3, 9)
    assert extension.adapter == {EXIT} and extension.kept == {"proxy_on_tick"}
    joined = [(i.module, i.name) for i in extension.module.imports()]
    assert joined == [
        ("main", "main.memory"),
        ("main", "main.__indirect_function_table"),
        ("libpython", "libpython.PyInit"),
    ]


def test_the_parts_are_in_the_order_of_their_names_less_those_that_have_nothing_to_do(
    layout: Layout, extension: Extension
) -> None:
    parts = list(flatten._parts(layout, extension, DATA_OF_ALL))
    names = ["libc", "libdl", "libpython", "main", "part 01", "setup", "traps wasi:io/poll@0.2.0"]
    assert [part.name for part in parts] == names
    for part in parts:
        assert all(e.name.startswith(f"{part.name}.") for e in part.module.exports())


def test_imports_lead_to_the_parts_that_provide_them_or_to_the_adapter(layout: Layout, extension: Extension) -> None:
    parts = {part.name: part.module for part in flatten._parts(layout, extension, DATA_OF_ALL)}
    assert [(i.module, i.name) for i in parts["libpython"].imports()] == [
        ("main", "main.libpython:base"),
        ("boundary", EXIT),
    ]


def test_the_main_part_has_all_data_and_room_for_the_boundary(layout: Layout, extension: Extension) -> None:
    main = {part.name: part.module for part in flatten._parts(layout, extension, DATA_OF_ALL)}["main"]
    assert main.get(DATA) == DATA_OF_ALL
    assert read_limits(Reader(main.get(MEMORY), 1)) == 3 and read_limits(Reader(main.get(TABLE), 2)) == 9


def test_the_setup_part_fills_the_table_but_for_the_helpers_that_are_left_out(
    layout: Layout, extension: Extension
) -> None:
    filled = {part.name: part.module for part in flatten._parts(layout, extension, DATA_OF_ALL)}["setup"]
    # Of both elements, at 2 and 3, the second is PyInit, and the first a function of the helpers.
    assert [(i.module, i.name) for i in filled.imports()] == [
        ("libpython", "libpython.PyInit"),
        ("main", "main.__indirect_function_table"),
    ]
    assert [(offset, functions) for offset, functions in filled.elements()] == [(expression(i32_const(3)), [0])]


def test_a_part_of_traps_is_written_anew_in_the_order_of_names() -> None:
    traps = wat("""(module (func $b (export "b") (param i32) unreachable) (func (export "a") unreachable)
      (func (export "c") (result i64) unreachable))""")
    made = flatten._sorted_traps(Module(traps), "traps")
    assert [(e.name, e.index) for e in made.exports()] == [("traps.a", 0), ("traps.b", 1), ("traps.c", 2)]
    assert [(len(t.parameters), len(t.results)) for t in made.function_types()] == [(0, 0), (1, 0), (0, 1)]
    assert made.bodies() == [function_body(UNREACHABLE)] * 3
    wasmtime.Module.validate(wasmtime.Engine(), made.encode())


def test_the_flat_module_exports_the_boundary_the_memory_and_what_the_builder_calls(extension: Extension) -> None:
    names = ["proxy_on_tick", EXIT, "libc.malloc", "libc.__wasm_apply_data_relocs", "libc._initialize"]
    merged = {name: Export(name, FUNC_KIND, index) for index, name in enumerate(names)}
    merged |= {
        "main.memory": Export("main.memory", MEMORY_KIND, 0),
        "main.__stack_pointer": Export("main.__stack_pointer", GLOBAL_KIND, 4),
    }
    assert [(e.name, e.kind, e.index) for e in flatten._exports(merged, extension)] == [
        ("proxy_on_tick", FUNC_KIND, 0),
        ("memory", MEMORY_KIND, 0),
        ("build_stack_pointer", GLOBAL_KIND, 4),
        ("build_relocate libc", FUNC_KIND, 3),
        ("build_construct libc", FUNC_KIND, 4),
    ]
