"""The first steps of tiering, on a module of seven functions: what stays, what is cold, and where it all lies."""

from __future__ import annotations

import struct

import wasmtime

from toolchain.tier.contract import HEAD, KEPT, NARROW, NONE
from toolchain.tier.image import lay_out
from toolchain.tier.memories import STACK_BYTES
from toolchain.tier.plan import Plan, plan
from toolchain.tier.translate import translate
from toolchain.wasm.format import PAGE, Module

# By index: 0 imported, 1 kept, 2 called by a kept one, 3 exported, 4 called by a cold one, 5 in the table only, 6 `_initialize`.
MODULE = """
(module
  (import "env" "proxy_done" (func $done (result i32)))
  (memory (export "memory") 2)
  (table 3 funcref)
  (global $g (mut i32) (i32.const 0))
  (elem (i32.const 1) $in_table $kept)
  (data (i32.const 4096) "data")
  (func $kept (call $called))
  (func $called (call $apart))
  (func $exported (export "exported") (param i32))
  (func $apart (global.set $g (i32.const 1)))
  (func $in_table)
  (func (export "_initialize"))
)
"""


def made(keep: tuple[int, ...] = (1,), training: bool = False, text: str = MODULE) -> Plan:
    module = Module(bytes(wasmtime.wat2wasm(text)))
    return plan(module, keep, translate(module), training, {}, ())


def test_a_function_stays_one_if_it_is_kept_or_exported() -> None:
    planned = made()
    assert list(planned.kept) == [0, 1] and planned.count == 7
    assert list(planned.functions.defined) == [1, 3, 6]
    assert planned.functions.index == {0: 0, 1: 1, 3: 2, 6: 3}
    assert planned.elements == [None, 5, 1]


def test_kept_functions_go_first_in_the_order_in_which_they_are_given() -> None:
    assert list(made((4, 1)).functions.defined) == [4, 1, 3, 6]


def test_who_exports_the_table_keeps_all_indices() -> None:
    planned = made(text=MODULE.replace("(table 3", '(table (export "t") 3'))
    assert not planned.functions.movable and list(planned.functions.defined) == [1, 2, 3, 4, 5, 6]
    assert not planned.elements


def test_the_tiers_things_come_behind_the_modules() -> None:
    own = made().own
    assert (own.memory, own.table, own.top, own.element, own.packed) == (1, 1, 1, 2, 3)
    assert made(training=True).own.memory == 0


def test_what_a_proxy_calls_begins_with_unpacking_if_it_tells_of_contexts() -> None:
    told = MODULE.replace('"exported"', '"proxy_on_context_create"')
    assert made().callbacks == set() and made(text=told).callbacks == {3}
    assert made(text=told.replace('"_initialize"', '"other"')).callbacks == set()


def test_the_memory_is_packed_if_something_can_unpack_it() -> None:
    image = made().image
    assert image is not None and image.strip(b"\0") == b"data" and len(image) == 2 * PAGE
    assert made(training=True).image is None
    assert made(text=MODULE.replace('"_initialize"', '"other"')).image is None


def test_everything_in_the_tiers_memory_has_a_place_of_its_own() -> None:
    for training in (False, True):
        contents = lay_out(made(training=training))
        places = contents.places
        order = [
            places.elements,
            places.state,
            places.overrun,
            places.damaged,
            places.blocks,
            places.bodies,
            places.end,
        ]
        order += [places.room, places.stack, places.limit, places.pages * PAGE]
        assert places.stack < places.limit < places.stack + STACK_BYTES
        assert order == sorted(order) and order[0] == (2 * PAGE if training else 0)
        assert places.at_start == len(contents.at_start) == (0 if training else 2)


def test_the_tables_say_where_each_functions_body_is() -> None:
    contents = lay_out(made(training=True))
    numbers = struct.unpack(f"<{3 + 7}I", contents.tables)
    assert numbers[:3] == (NONE, 5, 1) and list(numbers[3:]) == list(contents.offsets)
    bodies = b"".join(block.packed for block in contents.bodies)
    modes = [HEAD.form.unpack_from(bodies, at)[0] for at in contents.offsets]
    assert modes == [KEPT, KEPT, *[NARROW] * 5]
    # A kept function's place in the interpreter's table: behind the ways out of both sorts, for three types of functions.
    assert HEAD.form.unpack_from(bodies, contents.offsets[1])[3] == 2 * 3 + 1
