"""The guard of C's recursion, on modules small enough to see through: which circles are found, and how a check ends one."""

from __future__ import annotations

import pytest
import wasmtime
from wasmtime._instance import InstanceExports as Exports

from toolchain.cpython.recursion import REFUSE, REFUSE_MARSHAL, STACK_POINTER, Failure
from toolchain.cpython.types import LANDMARKS, TYPE_VECTORCALL, VECTORCALL
from toolchain.guard import stackguard
from toolchain.guard.callgraph import call_graph
from toolchain.guard.circles import circles
from toolchain.guard.data import read_constants, read_table
from toolchain.guard.recursion import Tables, rules_of
from toolchain.guard.types import verify_layout
from toolchain.tools import ToolchainError
from toolchain.wasm.format import FormatError, Module

# A table of functions at 10, of which `place` is the first element; slots as in CPython's types are at offset 60, for one.
HEAD = f"""
  (memory (export "memory") 1)
  (global $sp (export "main.__stack_pointer") (mut i32) (i32.const 0x100000))
  (global $place (mut i32) (i32.const 10))
  (table 20 funcref)
  (type $one (func (param i32) (result i32)))
  (func $refuse (export "{REFUSE}") (result i32) (i32.const 1))
  (func $refuse_marshal (export "{REFUSE_MARSHAL}") (result i32) (i32.const 1))
  (func $here (export "{STACK_POINTER}") (result i32) (i32.const 0))
"""


def module(text: str) -> Module:
    return Module(bytes(wasmtime.wat2wasm(f"(module {HEAD} {text})")))


NOTHING = Tables()


def verify(text: str, tables: Tables = NOTHING) -> None:
    made = module(text)
    pointer = next(e.index for e in made.exports() if e.name == "main.__stack_pointer")
    rules = rules_of(made.function_names(), tables)
    rules.verify(call_graph(made, pointer, rules.unfollowed))


DIRECT = """
  (func $even (export "even") (param i32) (result i32)
    (global.set $sp (i32.sub (global.get $sp) (i32.const 512)))
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 1)) (else (call $odd (i32.sub (local.get 0) (i32.const 1)))))
    (global.set $sp (i32.add (global.get $sp) (i32.const 512))))
  (func $odd (param i32) (result i32) (i32.eqz (call $even (local.get 0))))
  (func $apart (call $leaf)) (func $leaf)
"""
CIRCLES = {
    "direct": DIRECT,
    "itself": "(func $f (call $f))",
    "constant": """(elem (i32.const 10) $f)
        (func $f (param i32) (result i32) (call_indirect (type $one) (local.get 0) (i32.const 10)))""",
    "parameter": """(elem (i32.const 10) $f)
        (func $g (param i32 i32) (result i32) (call_indirect (type $one) (local.get 0) (local.get 1)))
        (func $f (param i32) (result i32) (call $g (local.get 0) (global.get $place)))""",
    "parameter, passed on through a block": """(elem (i32.const 10) $f)
        (func $g (param i32 i32) (result i32) (local i32)
          (block (br_if 0 (local.get 0)) (local.set 2 (local.get 1)))
          (loop (local.set 2 (local.get 1)) (br_if 0 (local.get 0)))
          (call_indirect (type $one) (local.get 0) (local.get 2)))
        (func $f (param i32) (result i32) (call $g (local.get 0) (global.get $place)))""",
    "slot that code sets": """(elem (i32.const 10) $f)
        (func $set (param i32) (i32.store offset=60 (local.get 0) (global.get $place)))
        (func $f (param i32) (result i32) (call_indirect (type $one) (local.get 0) (i32.load offset=60 (local.get 0))))""",
    "slot in an address": """(elem (i32.const 10) $f)
        (func $set (param i32) (i32.store (i32.add (local.get 0) (i32.const 60)) (global.get $place)))
        (func $f (param i32) (result i32)
          (call_indirect (type $one) (local.get 0) (i32.load (i32.add (local.get 0) (i32.const 60)))))""",
    "fixed address": """(elem (i32.const 10) $f)
        (func $relocate (export "libpython.__wasm_apply_data_relocs") (i32.store (i32.const 800) (global.get $place)))
        (func $f (param i32) (result i32) (call_indirect (type $one) (local.get 0) (i32.load (i32.const 800))))""",
    # At 500: an immortal type, whose type is at 400, with a name and a slot at offset 60.
    "type": """(elem (i32.const 10) $f)
        (global (export "main.libpython.so:PyType_Type") i32 (i32.const 400))
        (data (i32.const 500) "\\00\\00\\00\\70")
        (func $relocate (export "libpython.__wasm_apply_data_relocs")
          (i32.store (i32.const 504) (i32.const 400)) (i32.store (i32.const 512) (i32.const 900))
          (i32.store (i32.const 560) (global.get $place)))
        (func $f (param i32) (result i32) (call_indirect (type $one) (local.get 0) (i32.load offset=60 (local.get 0))))""",
}


@pytest.mark.parametrize("name", CIRCLES)
def test_a_circle_without_a_check_stops_the_build(name: str) -> None:
    with pytest.raises(ToolchainError, match="recursion without a check") as raised:
        verify(CIRCLES[name])
    assert ("even odd" if name == "direct" else "f") in str(raised.value).splitlines()[1]
    assert "leaf" not in str(raised.value)


@pytest.mark.parametrize("name", ["even", "odd"])
def test_a_check_or_a_reason_breaks_it(name: str) -> None:
    verify(DIRECT, Tables(checked={name: Failure(-1)}))
    verify(DIRECT, Tables(bounded={name: "it counts down"}))


def test_another_slot_or_another_type_is_no_circle() -> None:
    verify(CIRCLES["slot that code sets"].replace("store offset=60", "store offset=64"))
    verify(CIRCLES["type"].replace("560", "564"))
    verify(CIRCLES["type"].replace("70", "60"))


def test_a_pointer_of_which_nothing_is_known_stops_the_build_unless_it_is_named() -> None:
    text = """(func $f (param i32) (result i32) (call_indirect (type $one) (local.get 0) (call $pick)))
        (func $pick (result i32) (i32.const 10))"""
    with pytest.raises(ToolchainError, match="nothing is known, in f;"):
        verify(text)
    verify(text, Tables(unfollowed={"f": "a library's callback"}))


@pytest.mark.parametrize("tables", [Tables(checked={"gone": Failure(0)}), Tables(bounded={"gone*": ""})])
def test_a_name_that_no_function_has_is_an_error(tables: Tables) -> None:
    with pytest.raises(FormatError, match="gone"):
        verify(DIRECT, tables)


def laid_out(slots: dict[str, int], vectorcall: int) -> None:
    """Has the build's check read a list of slots, from 2,000 on, and a `type`, at 400."""
    data, stores = [], [f"(i32.store (i32.const {400 + vectorcall}) (global.get $place))"]
    for number, (name, offset) in enumerate(slots.items()):
        text, entry = 1000 + 32 * number, 2000 + 16 * number
        data.append(
            f'(data (i32.const {text}) "{name}") (data (i32.const {entry + 4}) "\\{offset % 256:02x}\\{offset // 256:02x}")'
        )
        stores.append(f"(i32.store (i32.const {entry}) (i32.const {text}))")
        stores += [f"(i32.store (i32.const {entry + field}) (global.get $place))" for field in (8, 12)]
    made = module(f"""(elem (i32.const 10) ${TYPE_VECTORCALL}) (func ${TYPE_VECTORCALL})
        (global (export "main.libpython.so:PyType_Type") i32 (i32.const 400)) {" ".join(data)}
        (func (export "libpython.__wasm_apply_data_relocs") {" ".join(stores)})""")
    pointer = next(e.index for e in made.exports() if e.name == "main.__stack_pointer")
    constants = read_constants(made, pointer)
    graph = call_graph(made, pointer, lambda _: False)
    verify_layout(made, graph.data, read_table(made, constants), constants)


def test_types_that_are_laid_out_otherwise_stop_the_build() -> None:
    laid_out(LANDMARKS, VECTORCALL)
    with pytest.raises(ToolchainError, match=f"lacks {TYPE_VECTORCALL} at {VECTORCALL}$"):
        laid_out(LANDMARKS, VECTORCALL + 4)
    for name, offset in LANDMARKS.items():
        with pytest.raises(ToolchainError, match=f"lacks {name} at {offset}$"):
            laid_out({**LANDMARKS, name: offset + 4}, VECTORCALL)
    with pytest.raises(ToolchainError, match="lacks __repr__ at 44, "):
        laid_out({}, VECTORCALL)


def instance(text: str, tables: Tables) -> tuple[wasmtime.Store, Exports]:
    made = module(text)
    exports = {e.name: e.index for e in made.exports()}
    stackguard.check(made, exports, exports["main.__stack_pointer"], rules_of(made.function_names(), tables))
    store = wasmtime.Store()
    return store, wasmtime.Instance(store, wasmtime.Module(store.engine, made.encode()), []).exports(store)


def call(store: wasmtime.Store, exports: Exports, name: str, *arguments: int) -> object:
    function = exports[name]
    assert isinstance(function, wasmtime.Func)
    return function(store, *arguments)


def test_a_check_ends_the_recursion_with_the_error_s_value() -> None:
    store, exports = instance(DIRECT, Tables(checked={"even": Failure(7)}))
    assert call(store, exports, "even", 10) == 1
    pointer = exports["main.__stack_pointer"]
    assert isinstance(pointer, wasmtime.Global)
    before = pointer.value(store)
    assert call(store, exports, "even", 100_000_000) in (0, 1)  # odd() has negated the 7 some times; there was no trap
    assert pointer.value(store) == before
    pointer.set_value(store, wasmtime.Val.i32(stackguard.LIMIT - 1))
    assert call(store, exports, "even", 10) == 7


def test_a_failure_can_write_and_need_not_return() -> None:
    text = """(func $f (export "f") (param i32 i32) (i32.store offset=4 (local.get 1) (i32.const 1)))"""
    store, exports = instance(text, Tables(checked={"f": Failure(None, None, (1, 4, 2))}))
    memory, pointer = exports["memory"], exports["main.__stack_pointer"]
    assert isinstance(memory, wasmtime.Memory) and isinstance(pointer, wasmtime.Global)
    for place, expected in ((stackguard.LIMIT, 1), (stackguard.LIMIT - 1, 2)):
        pointer.set_value(store, wasmtime.Val.i32(place))
        call(store, exports, "f", 0, 100)
        assert memory.read(store, 104, 108)[0] == expected


def test_calls_are_redirected_refused_and_asked_before() -> None:
    text = """
      (func $old (export "old") (result i32) (i32.const 1))
      (func $new (export "new") (result i32) (i32.add (call $old) (i32.const 10)))
      (func (export "a") (result i32) (i32.add (call $old) (i32.const 100)))
      (func $b (export "b") (result i32) (call $old))
      (func $no (export "no") (param i32) (result i32) (local.get 0))
      (func $c (export "c") (param i32) (result i32) (i32.const 5))
    """
    tables = Tables(called_instead={(None, "old"): "new"}, asked_before={"c": "no"})
    store, exports = instance(text, tables)
    assert [call(store, exports, name) for name in ("a", "b", "new")] == [111, 11, 11]
    assert [call(store, exports, "c", number) for number in (0, 3)] == [5, 0]
    store, exports = instance(text, Tables(called_instead={("b", "old"): "new"}))
    assert [call(store, exports, name) for name in ("a", "b")] == [101, 11]


def test_what_leads_to_the_compiler_asks_first() -> None:
    text = """
      (global $left_out (mut i32) (i32.const 0))
      (func $ask (export "ask") (result i32) (global.get $left_out))
      (func (export "leave out") (global.set $left_out (i32.const 1)))
      (func $parse (export "parse") (param i32) (result i32) (local.get 0))
    """
    store, exports = instance(text, Tables(entries={"parse": Failure(-1, "ask")}))
    assert call(store, exports, "parse", 7) == 7
    call(store, exports, "leave out")
    assert call(store, exports, "parse", 7) == -1


def test_circles() -> None:
    edges = {1: [2], 2: [3, 4], 3: [1], 4: [5], 5: [5], 6: [1]}
    found = sorted(sorted(map(str, circle)) for circle in circles(edges.keys(), lambda node: edges[int(str(node))]))
    assert found == [["1", "2", "3"], ["5"]]
