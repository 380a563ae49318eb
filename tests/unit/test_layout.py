"""A component's parts are recognised by what they export, import and are given, here in one of thirty lines."""

from __future__ import annotations

import pytest
import wasmtime

from toolchain.runtime.component import Component, Provider, split
from toolchain.runtime.layout import Layout, recognise
from toolchain.wasm.format import FormatError, Import, Module

COMPONENT = """
(component
  (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit" (func (param "status" u32)))))
  (core module $main
    (import "wasi:cli/exit@0.2.0" "exit" (func (param i32)))
    (import "wasi:io/poll@0.2.0" "poll" (func))
    (memory (export "memory") 1) (table (export "__indirect_function_table") 4 funcref)
    (global (export "__heap_base") i32 (i32.const 4096)) (global (export "libpython:base") i32 (i32.const 1024)))
  (core module $slots
    (table (export "$imports") 2 funcref)
    (func (export "0") (param i32)) (func (export "1")))
  (core module $fixups
    (import "" "0" (func (param i32))) (import "" "1" (func)) (import "" "$imports" (table 2 funcref))
    (elem (i32.const 0) func 0 1))
  (core module $python
    (import "env" "__memory_base" (global i32)) (import "env" "exit" (func (param i32)))
    (func (export "PyLong_FromLong")) (func (export "PyInit")))
  (core module $libc (func (export "__wasilibc_reset_preopens")))
  (core module $libdl (func (export "__wasm_set_libraries")))
  (core module $helpers (func (export "PyInit_componentize_py_runtime")))
  (core module $poll (func (export "poll") unreachable))
  (core module $other (func (export "something")))
  (core module $start
    (import "main" "__indirect_function_table" (table 4 funcref))
    (import "python" "PyInit" (func)) (import "helpers" "PyInit_componentize_py_runtime" (func))
    (elem (i32.const 2) func 1 0))

  (core instance $slots (instantiate $slots))
  (core instance $wasi_exit (export "exit" (func $slots "0")))
  (core instance $wasi_poll (export "poll" (func $slots "1")))
  (core instance $main (instantiate $main
    (with "wasi:cli/exit@0.2.0" (instance $wasi_exit)) (with "wasi:io/poll@0.2.0" (instance $wasi_poll))))
  (core instance $env (export "__memory_base" (global $main "libpython:base")) (export "exit" (func $slots "0")))
  (core instance $python (instantiate $python (with "env" (instance $env))))
  (core instance $libc (instantiate $libc))
  (core instance $libdl (instantiate $libdl))
  (core instance $helpers (instantiate $helpers))
  (core instance $poll (instantiate $poll))
  (core instance $other (instantiate $other))
  (alias export $exit "exit" (func $exit_function))
  (core func $lowered (canon lower (func $exit_function)))
  (core instance $filled (export "$imports" (table $slots "$imports"))
    (export "0" (func $lowered)) (export "1" (func $poll "poll")))
  (core instance (instantiate $fixups (with "" (instance $filled))))
  (core instance (instantiate $start
    (with "main" (instance $main)) (with "python" (instance $python)) (with "helpers" (instance $helpers)))))
"""
EXIT = "wasi:cli/exit@0.2.0#exit"


def read(text: str = COMPONENT) -> tuple[Component, dict[int, Module]]:
    return split(bytes(wasmtime.wat2wasm(text)))


def part(layout: Layout, name: str) -> int:
    return next(i for i, known in layout.names.items() if known == name)


def imports(layout: Layout, name: str) -> dict[str, Import]:
    return {i.name: i for i in layout.modules[part(layout, name)].imports()}


def test_every_part_has_its_name() -> None:
    layout = recognise(*read())
    named = {name for i, name in layout.names.items() if i not in (layout.slots, layout.fixups)}
    libraries = {"helpers", "libc", "libdl", "libpython"}
    assert named == libraries | {"main", "part 01", "setup", "traps wasi:io/poll@0.2.0"}


def test_a_part_that_is_missing_or_there_twice_is_named() -> None:
    without = COMPONENT.replace("__wasilibc_reset_preopens", "something_else")
    with pytest.raises(FormatError, match="0 instances look like its libc"):
        recognise(*read(without))
    twice = COMPONENT.replace('(export "something")', '(export "PyLong_FromLong")')
    with pytest.raises(FormatError, match="2 instances look like its libpython"):
        recognise(*read(twice))


def test_an_import_through_the_slots_leads_to_what_is_called_in_the_end() -> None:
    layout = recognise(*read())
    python = part(layout, "libpython")
    assert layout.component.provider(python, imports(layout, "libpython")["exit"]) == Provider(layout.slots, "0")
    assert layout.target(python, imports(layout, "libpython")["exit"], frozenset({EXIT})) == ("boundary", EXIT)


def test_an_import_that_neither_the_adapter_nor_a_part_has_is_refused() -> None:
    layout = recognise(*read())
    with pytest.raises(FormatError, match=f"the WASI adapter lacks {EXIT}"):
        layout.target(part(layout, "libpython"), imports(layout, "libpython")["exit"], frozenset())


def test_a_wasi_function_is_the_adapters_if_it_has_it_and_else_a_trap() -> None:
    layout = recognise(*read())
    poll, main = imports(layout, "main")["poll"], part(layout, "main")
    own = "wasi:io/poll@0.2.0#poll"
    assert layout.target(main, poll, frozenset({own})) == ("boundary", own)
    assert layout.target(main, poll, frozenset()) == ("traps wasi:io/poll@0.2.0", "traps wasi:io/poll@0.2.0.poll")


def test_a_librarys_base_and_a_symbols_address_are_the_linkers() -> None:
    layout = recognise(*read())
    assert layout.memory_base(part(layout, "libpython")) == layout.address("libpython:base") == 1024
    assert layout.memory_base(part(layout, "libc")) is None


def test_what_is_no_component_is_refused() -> None:
    with pytest.raises(FormatError, match="not a WebAssembly component"):
        split(bytes(wasmtime.wat2wasm("(module)")))
    whole = bytes(wasmtime.wat2wasm(COMPONENT))
    for size in (9, len(whole) // 2, len(whole) - 1):
        with pytest.raises(FormatError):
            recognise(*split(whole[:size]))
