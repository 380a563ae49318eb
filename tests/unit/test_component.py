"""A component is taken apart: who provides what, however often it is named anew on the way."""

from __future__ import annotations

import pytest
import wasmtime

from toolchain.runtime.component import Provider, read_component, split
from toolchain.wasm.format import FormatError

COMPONENT = """
(component
  (import "wasi:io/poll@0.2.0" (instance $poll (export "poll" (func))))
  (alias export $poll "poll" (func $poll_function))
  (export $exported "wait" (func $poll_function))
  (core func $lowered (canon lower (func $exported)))
  (core module $maker (func (export "make")) (memory (export "memory") 1) (global (export "place") i32 (i32.const 3)))
  (core module $user (import "a" "make" (func)) (import "b" "wait" (func)) (import "b" "memory" (memory 1)))
  (core instance $maker (instantiate $maker))
  (core instance $named (export "made" (func $maker "make")))
  (core instance $again (export "make" (func $named "made")))
  (core instance $mixed (export "wait" (func $lowered)) (export "memory" (memory $maker "memory")))
  (core instance $user (instantiate $user (with "a" (instance $again)) (with "b" (instance $mixed))))
)
"""


def read(text: str = COMPONENT) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def test_instances_are_in_order_and_those_of_modules_have_one() -> None:
    component, modules = split(read())
    assert [instance.module is None for instance in component.instances] == [False, True, True, True, False]
    assert sorted(modules) == [0, 4]
    assert [e.name for e in modules[0].exports()] == ["make", "memory", "place"]


def test_each_import_leads_to_the_module_or_the_function_of_the_host_in_the_end() -> None:
    component, modules = split(read())
    found = [component.provider(4, imported) for imported in modules[4].imports()]
    assert found == [Provider(0, "make"), Provider(None, "wasi:io/poll@0.2.0#poll"), Provider(0, "memory")]
    assert component.export(2, "make") == Provider(0, "make")


def test_a_function_of_the_world_that_no_interface_has_is_refused() -> None:
    with pytest.raises(FormatError, match="function wait is imported without an interface"):
        read_component(read('(component (import "wait" (func)))'))


def test_a_core_module_or_half_a_component_is_refused() -> None:
    with pytest.raises(FormatError, match="not a WebAssembly component"):
        read_component(read("(module)"))
    with pytest.raises(FormatError, match="cut off"):
        read_component(read()[:-3])
