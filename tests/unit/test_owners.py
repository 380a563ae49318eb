"""Who needs what of CPython is found by calls, by names in code, and by pointers in data whose tables are known."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest
import wasmtime

from toolchain.cpython import compiler
from toolchain.guard.callgraph import call_graph
from toolchain.guard.data import read_constants, read_table
from toolchain.runtime.owners import Owners, in_runtime, owners
from toolchain.wasm.format import Module

BASE, TABLE_BASE = 0x100000, 10
INITTAB, LIST, NAMES = 0x100000, 0x100010, 0x100100
METHODS, LOOSE, APART, NUMBERS = 0x100200, 0x100300, 0x102000, 0x104000
FUNCTIONS = ("PyInit_one", "PyInit_two", "method", "other_method", "loose")
POINTERS = {
    INITTAB: LIST,
    LIST: NAMES,
    LIST + 4: TABLE_BASE,
    LIST + 8: NAMES + 8,
    LIST + 12: TABLE_BASE + 1,
    # Methods with name, function and flags; the array ends with zeros.
    METHODS: NAMES,
    METHODS + 4: TABLE_BASE + 2,
    METHODS + 16: NAMES,
    METHODS + 20: TABLE_BASE + 3,
    # Nobody knows where this begins.
    LOOSE + 8: TABLE_BASE + 4,
    # In a segment of its own.
    APART: NAMES,
}


def _module(code: str) -> Module:
    stores = "".join(
        f"(i32.store (i32.add (global.get $data) (i32.const {at - BASE}))"
        f" (i32.add (global.get ${'table' if to < BASE else 'data'}) (i32.const {to - (TABLE_BASE if to < BASE else BASE)})))"
        for at, to in POINTERS.items()
    )
    data = bytearray(0x400)
    for at, content in ((NAMES, b"one"), (NAMES + 8, b"two"), (METHODS + 8, b"\1"), (METHODS + 24, b"\1")):
        data[at - BASE : at - BASE + len(content)] = content
    text = "".join(f"\\{byte:02x}" for byte in data)
    return Module(
        bytes(
            wasmtime.wat2wasm(f"""
              (module
                (memory 32)
                (global $sp (mut i32) (i32.const 0x100000))
                (global $data i32 (i32.const {BASE}))
                (global $table i32 (i32.const {TABLE_BASE}))
                (global $methods i32 (i32.add (global.get $data) (i32.const {METHODS - BASE})))
                (table 30 funcref)
                (elem (i32.const {TABLE_BASE}) {" ".join(f"${name}" for name in FUNCTIONS)})
                (func (export "lib.__wasm_apply_data_relocs") {stores})
                {code}
                (data (i32.const {BASE}) "{text}")
                (data (i32.const {APART}) "{"x" * 8}")
                (data (i32.const {NUMBERS}) "{"x" * 64}"))
            """)
        )
    )


CODE = f"""
  (func $always (call $shared))
  (func $shared)
  (func $PyInit_one (result i32) (call $helper) (i32.add (global.get $data) (i32.const {METHODS - BASE})))
  (func $PyInit_two (result i32) (call $helper) (i32.load (i32.add (global.get $data) (i32.const {NUMBERS - BASE}))))
  (func $helper (call $shared))
  (func $method (call $of_method))
  (func $of_method)
  (func $other_method)
  (func $loose)
  (func $nobodys)
"""


def _found(code: str = CODE, entries: Collection[str] = ()) -> tuple[Module, Owners]:
    module = _module(code)
    graph = call_graph(module, 0, lambda _: True, {BASE: 1 << 21, TABLE_BASE: 30})
    names = {name: index for index, name in module.function_names().items()}
    table = read_table(module, read_constants(module, 0))
    always = [names["always"]]
    relocations = next(e.index for e in module.exports())
    runs = {index: run for index, run in graph.runs.items() if index != relocations}
    asking = {names[name] for name in entries}
    return module, owners(type(graph)(runs, {}, (), graph.data), table, (), INITTAB, always, asking)


def _by_name(module: Module, found: Owners) -> Mapping[str, frozenset[str] | None]:
    return {module.function_names().get(index, ""): modules for index, modules in found.functions.items()}


def test_a_function_is_needed_by_the_modules_that_lead_to_it() -> None:
    module, found = _found()
    one, two = frozenset({"one"}), frozenset({"two"})
    assert found.starts.keys() == {"one", "two"}
    by_name = _by_name(module, found)
    assert by_name["always"] is None and by_name["shared"] is None
    assert by_name["helper"] == one | two
    assert [by_name[name] for name in ("method", "of_method", "other_method")] == [one, one, one]
    # It lies behind the methods.
    assert by_name["loose"] == one
    assert by_name["nobodys"] == frozenset()


@pytest.mark.parametrize("named", [LOOSE, LOOSE + 12, METHODS + 40])
def test_what_lies_between_two_tables_is_reached_by_any_address_in_it(named: int) -> None:
    name = f"(drop (i32.add (global.get $data) (i32.const {named - BASE})))"
    module, found = _found(CODE.replace("(func $always", f"(func $always {name}"))
    assert _by_name(module, found)["loose"] is None


@pytest.mark.parametrize(
    "sum_",
    [
        f"(local.set 0 (global.get $data)) (drop (i32.add (local.get 0) (i32.const {METHODS - BASE})))",
        f"(loop (drop (i32.add (local.get 0) (i32.const {METHODS - BASE}))) (local.set 0 (global.get $data)) (br_if 0 (i32.const 0)))",
        f"(drop (i32.add (i32.add (global.get $data) (local.get 0)) (i32.const {METHODS - BASE})))",
        f"(drop (i32.add (global.get $data) (select (i32.const {METHODS - BASE}) (i32.const 8) (local.get 0))))",
        "(drop (i32.add (global.get $table) (i32.const 2)))",
        "(drop (global.get $methods))",
        f"(loop (loop (drop (i32.add (local.get 0) (i32.const {METHODS - BASE}))))"
        " (local.set 0 (global.get $data)) (br_if 0 (i32.const 0)))",
    ],
)
def test_a_name_is_found_however_it_is_put_together(sum_: str) -> None:
    module, found = _found(CODE.replace("(func $always", f"(func $always (local i32) {sum_}"))
    assert _by_name(module, found)["method"] is None


def test_a_base_that_a_loop_keeps_names_nothing_but_its_sums() -> None:
    """Without a look at what the rounds of a loop leave behind, each constant of the function would be a guess."""
    loop = """(local i32) (local.set 0 (global.get $table)) (loop
      (drop (i32.add (local.get 0) (i32.const 4))) (drop (i32.const 2)) (local.set 0 (global.get $table)) (br_if 0 (i32.const 0)))"""
    module, found = _found(CODE.replace("(func $always", f"(func $always {loop}"))
    by_name = _by_name(module, found)
    assert (by_name["loose"], by_name["method"]) == (None, frozenset({"one"}))


@pytest.mark.parametrize(
    ("use", "named"),
    [
        ("(drop (i32.add (global.get $table) (i32.const 4)))", False),
        ("(i32.store (i32.const 8) (global.get $table))", True),
        ("(drop (i32.eqz (global.get $table)))", True),
        ("(call_indirect (global.get $table))", True),
        ("(drop (block (result i32) (global.get $table)))", True),
    ],
)
def test_where_functions_begin_names_the_first_one_only_if_it_is_used_so(use: str, named: bool) -> None:
    module, found = _found(CODE.replace("(func $always", f"(func $always {use}"))
    assert (_by_name(module, found)["PyInit_one"] is None) == named


def test_an_object_that_nobody_reaches_is_left_out_with_its_pointers() -> None:
    _, found = _found()
    assert (APART, APART + 8, frozenset()) in found.data
    assert (METHODS, METHODS + 48, frozenset({"one"})) in found.data
    for at in (APART, APART + 4, APART - 8):
        name = f"(func $always (drop (i32.add (global.get $data) (i32.const {at - BASE})))"
        _, found = _found(CODE.replace("(func $always", name))
        assert not any(begin <= APART < end for begin, end, _ in found.data)


def test_what_asks_for_the_compiler_is_always_there_and_what_is_behind_it_is_the_compilers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiler, "MODULE", "two")
    code = CODE.replace("(func $always", "(func $always (call $entry)")
    code += "(func $entry (call $behind) (call $helper)) (func $behind)"
    flat, found = _found(code, ["entry"])
    by_name = _by_name(flat, found)
    assert by_name["entry"] is None
    assert (by_name["behind"], by_name["helper"]) == (frozenset({"two"}), frozenset({"one", "two"}))
    built = in_runtime(found, flat, flat, flat.function_names(), "PyInit_one")
    names = flat.function_names()
    assert "behind" in {names[index] for index in built.without(["two"]).functions}
    assert "entry" not in {names[index] for index in built.without(["one", "two"]).functions}


def test_data_without_pointers_is_whose_code_names_it() -> None:
    _, found = _found()
    assert (NUMBERS, NUMBERS + 64, frozenset({"two"})) in found.data


@pytest.mark.parametrize("near", [0, -8, 16])
def test_data_that_may_be_named_by_what_is_always_there_stays(near: int) -> None:
    name = (
        f"(drop (i32.load8_u (i32.add (i32.add (global.get $data) (local.get 0)) (i32.const {NUMBERS + near - BASE}))))"
    )
    _, found = _found(CODE.replace("(func $always", f"(func $always (local i32) {name}"))
    assert not any(begin <= max(NUMBERS + near, NUMBERS) < end for begin, end, _ in found.data)


def test_what_is_added_to_where_functions_begin_is_no_address_of_data() -> None:
    name = f"(drop (i32.add (i32.add (global.get $table) (local.get 0)) (i32.const {NUMBERS - TABLE_BASE})))"
    _, found = _found(CODE.replace("(func $always", f"(func $always (local i32) {name}"))
    assert (NUMBERS, NUMBERS + 64, frozenset({"two"})) in found.data


def test_in_the_runtime_whoever_needs_a_function_needs_what_it_calls() -> None:
    """The optimiser has put `of_method` into `method`, and made one function of `helper` and `nobodys`."""
    flat, found = _found()
    code = CODE.replace("(func $nobodys)", "").replace("(call $of_method)", "").replace("(func $of_method)", "")
    runtime = _module(
        code.replace("(func $helper (call $shared))", "(func $nobodys (call $shared))").replace("$helper", "$nobodys")
    )
    names = runtime.function_names()
    built = in_runtime(found, flat, runtime, names, "PyInit_one")
    by_name = {name: index for index, name in names.items()}
    left_out = built.without(["one"])
    assert {names[index] for index in left_out.functions} == {"PyInit_one", "method", "other_method", "loose"}
    assert left_out.refusal == by_name["PyInit_one"]
    assert {names[index] for index in built.without(["one", "two"]).functions} > {"nobodys", "PyInit_two"}
